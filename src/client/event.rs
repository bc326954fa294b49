//! From the JSON of one event, or of a whole response, to what it means.
//!
//! What is accepted follows from the OpenAI protocol and its dialects: text in `delta.content`, `message.content` or `text`, as
//! a string or as a list of parts; reasoning in `reasoning` or `reasoning_content`; tool-call arguments; a finish reason; usage
//! anywhere; errors inside HTTP 200 in any of the shapes that docs/faults.md lists. An event that strict reading refuses is
//! read once more as JavaScript's and Python's clients read it ([`mend`]).

use super::{
    chunk::{Choice, Chunk, Content, RawUsage, Text, is_something},
    failure::one_line,
    mend::mend,
};

/// What one event carries; several may be set (llama.cpp packs role and first token together).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Names the speaker.
    pub role: bool,
    /// Non-empty answer text.
    pub content: bool,
    /// Non-empty reasoning text.
    pub reasoning: bool,
    /// Non-empty tool-call arguments.
    pub tool_call: bool,
    /// A finish reason.
    pub finish: bool,
    /// Token counts.
    pub usage: bool,
    /// An error.
    pub error: bool,
    /// `[DONE]`.
    pub done: bool,
    /// Has a `choices` list, be it empty.
    pub choices: bool,
}

impl Event {
    /// Whether it carries generated text.
    pub fn is_token(self) -> bool {
        self.content || self.reasoning || self.tool_call
    }

    /// Whether it belongs to the protocol at all; `null` and unknown objects are pings.
    pub fn is_ping(self) -> bool {
        self == Self::default()
    }
}

/// Token counts as the server reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `usage.prompt_tokens`.
    pub prompt_tokens: Option<u32>,
    /// `usage.completion_tokens`.
    pub completion_tokens: Option<u32>,
    /// `usage.prompt_tokens_details.cached_tokens`.
    pub cached_tokens: Option<u32>,
}

impl Usage {
    fn of(usage: RawUsage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens.0,
            completion_tokens: usage.completion_tokens.0,
            cached_tokens: usage.prompt_tokens_details.and_then(|details| details.cached_tokens.0),
        }
    }
}

/// What a response has said so far; kept and cleared for each request, so that its buffers stop growing.
#[derive(Debug, Default)]
pub struct Answer {
    /// All generated text in order of arrival: reasoning, content and tool-call arguments.
    pub text: String,
    /// The last finish reason; an empty one is none.
    pub finish_reason: Option<String>,
    /// Each count as it was last reported.
    pub usage: Option<Usage>,
    /// The first error inside HTTP 200, as one line; a finish reason that is a failure is one too.
    pub error: Option<String>,
    /// `[DONE]` was seen, or a whole response body.
    pub done: bool,
    /// Choices that have begun, and those of them that have a finish reason: a bit each, the last for all beyond.
    begun: u64,
    finished: u64,
    /// Text has come for a choice that had its finish reason: of this server's answers that is no end.
    goes_on: bool,
}

impl Answer {
    /// Forgets the last response but the text buffer's capacity.
    pub fn clear(&mut self) {
        self.text.clear();
        self.finish_reason = None;
        self.usage = None;
        self.error = None;
        self.done = false;
        (self.begun, self.finished, self.goes_on) = (0, 0, false);
    }

    /// Whether every choice that has begun has its finish reason: what may still follow are counts, and the end.
    pub fn is_finished(&self) -> bool {
        self.finished != 0 && self.begun == self.finished && !self.goes_on
    }

    /// Takes the data of one server-sent event. One whose name says so is an error, whatever its data.
    ///
    /// # Errors
    /// Where it is neither `[DONE]` nor JSON.
    pub fn take_event(&mut self, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        if names_an_error(name) {
            return Ok(self.take_error(data));
        }
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Ok(Event { done: true, ..Event::default() });
        }
        // A field without value: nothing to read.
        if data.trim_ascii().is_empty() {
            return Ok(Event::default());
        }
        self.take_json(data)
    }

    /// Takes a whole response body.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn take_body(&mut self, body: &[u8]) -> Result<Event, serde_json::Error> {
        let event = self.take_json(body)?;
        self.done = true;
        Ok(event)
    }

    /// Takes what an error event, or a line `error: …` of the stream, says.
    pub fn take_error(&mut self, data: &[u8]) -> Event {
        self.error.get_or_insert_with(|| match error_message(data) {
            message if message.is_empty() => "the server sent an error event that says nothing".to_owned(),
            message => message,
        });
        Event { error: true, ..Event::default() }
    }

    fn take_json(&mut self, json: &[u8]) -> Result<Event, serde_json::Error> {
        match serde_json::from_slice::<Option<Chunk>>(json) {
            // `data: null` is a ping of some servers.
            Ok(None) => Ok(Event::default()),
            Ok(Some(chunk)) => Ok(self.take_chunk(chunk, json)),
            Err(e) => {
                let Some(mended) = mend(json) else { return Err(e) };
                // It may still have no choices where a list of them should be.
                let chunk: Option<Chunk> = serde_json::from_str(&mended)?;
                Ok(chunk.map_or_else(Event::default, |chunk| self.take_chunk(chunk, mended.as_bytes())))
            }
        }
    }

    fn take_chunk(&mut self, chunk: Chunk, json: &[u8]) -> Event {
        let mut event = Event::default();
        if let Some(choices) = &chunk.choices {
            event.choices = true;
            for choice in choices.first.iter().chain(&choices.rest) {
                self.take_choice(choice, &mut event);
            }
        }
        let error = chunk.error.filter(|raw| is_something(raw.get()));
        let says_so = chunk.object.is("error") || chunk.kind.is("error");
        let is_bare = chunk.choices.is_none() && chunk.code.is_some() && chunk.message.is_some();
        if error.is_some() || says_so || is_bare {
            event.error = true;
            let said = error.map_or(json, |raw| raw.get().as_bytes());
            self.error.get_or_insert_with(|| error_message(said));
        }
        if let Some(usage) = chunk.usage {
            let new = Usage::of(usage);
            if new != Usage::default() {
                event.usage = true;
                let known = self.usage.unwrap_or_default();
                self.usage = Some(Usage {
                    prompt_tokens: new.prompt_tokens.or(known.prompt_tokens),
                    completion_tokens: new.completion_tokens.or(known.completion_tokens),
                    cached_tokens: new.cached_tokens.or(known.cached_tokens),
                });
            }
        }
        event
    }

    fn take_choice(&mut self, choice: &Choice, event: &mut Event) {
        let bit = 1u64 << choice.index.0.unwrap_or(0).min(63);
        self.begun |= bit;
        let had = self.text.len();
        event.content |= self.append(&choice.text);
        for delta in [&choice.delta, &choice.message].into_iter().flatten() {
            event.role |= delta.role.0.is_some();
            // Some servers send the reasoning under both names.
            let reasoning = if delta.reasoning.is_empty() { &delta.reasoning_content } else { &delta.reasoning };
            event.reasoning |= self.append(reasoning);
            self.append_content(&delta.content, false, event);
            event.content |= self.append(&delta.refusal);
            for call in delta.tool_calls.iter().flatten() {
                event.tool_call |= call.function.as_ref().is_some_and(|function| self.append(&function.arguments));
            }
            if let Some(function) = &delta.function_call {
                event.tool_call |= self.append(&function.arguments);
            }
        }
        self.goes_on |= self.finished & bit != 0 && self.text.len() > had;
        if let Some(reason) = choice.finish_reason.as_ref().filter(|reason| reason.is_some()) {
            event.finish = true;
            self.finished |= bit;
            if reason.is_failure() {
                event.error = true;
                self.error.get_or_insert_with(|| reason.said());
            }
            self.finish_reason = Some(reason.name.0.clone().unwrap_or_default().into_owned());
        }
    }

    fn append_content(&mut self, content: &Content, thinking: bool, event: &mut Event) {
        let is_new = self.append(&content.text);
        event.reasoning |= is_new && thinking;
        event.content |= is_new && !thinking;
        for part in &content.parts {
            let thinking = thinking || matches!(part.kind.0.as_deref(), Some("thinking" | "reasoning"));
            for of_part in [&part.thinking, &part.text].into_iter().flatten() {
                self.append_content(of_part, thinking, event);
            }
        }
    }

    fn append(&mut self, text: &Text) -> bool {
        let text = text.0.as_deref().unwrap_or_default();
        self.text.push_str(text);
        !text.is_empty()
    }
}

/// The message in an error body: `{"error": {"message": …}}`, `{"error": …}`, `{"detail": …}`, `{"message": …}`, or the
/// text itself, as one line.
pub fn error_message(body: &[u8]) -> String {
    let message = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => message_in(&value).unwrap_or_else(|| value.to_string()),
        Err(_) => without_tags(&String::from_utf8_lossy(body)),
    };
    one_line(&message)
}

fn message_in(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Object(fields) => ["error", "message", "detail"]
            .iter()
            .filter_map(|key| fields.get(*key))
            .find(|v| !v.is_null())
            .map(|v| message_in(v).unwrap_or_else(|| v.to_string())),
        _ => None,
    }
}

/// The text of an HTML error page.
fn without_tags(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    let pieces = text.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, after)| after));
    pieces.collect::<Vec<_>>().join(" ")
}

/// `error`, and what ends so: `response.error`, `internal_error`.
fn names_an_error(name: &[u8]) -> bool {
    name.len() >= 5 && name[name.len() - 5..].eq_ignore_ascii_case(b"error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_typed_by_what_they_carry() {
        let none = Event::default();
        let chat = Event { choices: true, ..none };
        let table: &[(&str, Event, &str)] = &[
            ("[DONE]", Event { done: true, ..none }, ""),
            ("null", none, ""),
            ("{}", none, ""),
            (r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, Event { role: true, ..chat }, ""),
            (r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#, Event { role: true, ..chat }, ""),
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":"a"}}]}"#,
                Event { role: true, content: true, ..chat },
                "a",
            ),
            (r#"{"choices":[{"delta":{"content":"\n\u00e9"}}]}"#, Event { content: true, ..chat }, "\né"),
            (
                r#"{"choices":[{"text":" b","finish_reason":"stop"}]}"#,
                Event { content: true, finish: true, ..chat },
                " b",
            ),
            (
                r#"{"choices":[{"delta":{"reasoning":"r","reasoning_content":"r"}}]}"#,
                Event { reasoning: true, ..chat },
                "r",
            ),
            (
                r#"{"choices":[{"delta":{"reasoning_content":"r","content":null}}]}"#,
                Event { reasoning: true, ..chat },
                "r",
            ),
            (r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#, chat, ""),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
                Event { tool_call: true, ..chat },
                "{}",
            ),
            (r#"{"choices":[],"usage":{"completion_tokens":3}}"#, Event { usage: true, ..chat }, ""),
            (r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#, Event { content: true, ..chat }, "a"),
            (r#"{"error":"boom"}"#, Event { error: true, ..none }, ""),
            (r#"{"error":null}"#, none, ""),
            (r#"{"object":"error","message":"boom","code":404}"#, Event { error: true, ..none }, ""),
            (r#"{"choices":[{"delta":{"content":[{"type":"text"}]}}]}"#, chat, ""),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},"b",{"type":"refusal","refusal":"c"}]}}]}"#,
                Event { content: true, ..chat },
                "abc",
            ),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"}]}]}}]}"#,
                Event { reasoning: true, ..chat },
                "h",
            ),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"reasoning","text":"h"},{"type":"image","url":3}]}}]}"#,
                Event { reasoning: true, ..chat },
                "h",
            ),
            (r#"{"choices":[{"delta":{"reasoning":"r"}}]}"#, Event { reasoning: true, ..chat }, "r"),
            // What is of another type counts for nothing.
            (
                r#"{"choices":[{"delta":{"role":[1,[2]],"refusal":{"a":{"b":1}},"reasoning":7,"content":true}}]}"#,
                chat,
                "",
            ),
            (r#"{"choices":[{"delta":{"tool_calls":[{"function":null}]}}]}"#, chat, ""),
            (
                r#"{"choices":[{"message":{"function_call":{"name":"f","arguments":"{}"}}}]}"#,
                Event { tool_call: true, ..chat },
                "{}",
            ),
            (
                r#"{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"{}"}}],"function_call":{}}}]}"#,
                Event { tool_call: true, ..chat },
                "{}",
            ),
            (r#"{"choices":[{"delta":{"content":"a\ud83d"}}]}"#, Event { content: true, ..chat }, "a\u{fffd}"),
            (r#"{"choices":[{"delta":{"content":"a","content":"b"}}]}"#, Event { content: true, ..chat }, "b"),
            (r#"{"choices":[],"usage":{"completion_tokens":8.0}}"#, Event { usage: true, ..chat }, ""),
            (r#"{"choices":[],"usage":{"completion_tokens":"8"}}"#, Event { usage: true, ..chat }, ""),
            (r#"{"choices":[],"usage":{"completion_tokens":-8,"prompt_tokens":5e9}}"#, chat, ""),
            (r#"{"choices":[],"usage":{}}"#, chat, ""),
            (r#"{"type":"error","message":"boom"}"#, Event { error: true, ..none }, ""),
            (r#"{"type":"error","error":{"type":"x","message":"boom"}}"#, Event { error: true, ..none }, ""),
            (r#"{"code":500,"message":"boom"}"#, Event { error: true, ..none }, ""),
            (r#"{"code":0,"message":"","choices":[]}"#, chat, ""),
            (r#"{"code":500}"#, none, ""),
            (r#"{"message":"hello"}"#, none, ""),
            (r#"{"error":""}"#, none, ""),
            (r#"{"error":false}"#, none, ""),
            (r#"{"error":0}"#, none, ""),
            (r#"{"error":[]}"#, none, ""),
            (r#"{"error":{ }}"#, none, ""),
        ];
        for (data, expected, text) in table {
            let mut answer = Answer::default();
            let event = answer.take_event(b"", data.as_bytes()).unwrap();
            assert_eq!((event, answer.text.as_str()), (*expected, *text), "{data}");
            if expected.error {
                assert_eq!(answer.error.as_deref(), Some("boom"), "{data}");
            }
        }
        for (name, data, said) in [
            ("error", "boom", "boom"),
            ("Error", "[DONE]", "[DONE]"),
            ("response.error", r#"{"message":"boom"}"#, "boom"),
            ("error", "", "the server sent an error event that says nothing"),
        ] {
            let mut answer = Answer::default();
            let event = answer.take_event(name.as_bytes(), data.as_bytes()).unwrap();
            assert_eq!(event, Event { error: true, ..none }, "{name}");
            assert_eq!((answer.error.as_deref(), answer.done), (Some(said), false), "{name}");
        }
        for name in ["message", "errors", "rror", ""] {
            let mut answer = Answer::default();
            assert_eq!(answer.take_event(name.as_bytes(), b"{}").unwrap(), none, "{name}");
        }
        let why = Answer::default().take_event(b"", br#"{"choices": 3}"#).unwrap_err().to_string();
        assert!(why.contains("expected a list of choices"), "{why}");
        for bad in ["{", "hello", "[1]", r#"{"choices": 3}"#, "\"text\""] {
            assert!(Answer::default().take_event(b"", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn finish_reasons() {
        // The reason, its name, and what is said where it is a failure.
        let table = [
            (r#""stop""#, Some("stop"), None),
            (r#""length""#, Some("length"), None),
            (r#""content_filter""#, Some("content_filter"), None),
            (r#"{"type":"length","length":16}"#, Some("length"), None),
            ("null", None, None),
            (r#""""#, None, None),
            (r#"" ""#, None, None),
            (r#""null""#, None, None),
            (r#""None""#, None, None),
            ("{}", None, None),
            ("3", None, None),
            (r#""error""#, Some("error"), Some("the server ended the answer with the finish reason `error`")),
            (r#""ABORT""#, Some("ABORT"), Some("the server ended the answer with the finish reason `ABORT`")),
            (
                r#"{"type":"abort","message":"out of  memory","status_code":500}"#,
                Some("abort"),
                Some("out of memory (finish reason `abort`)"),
            ),
            (
                r#""insufficient_system_resource""#,
                Some("insufficient_system_resource"),
                Some("the server ended the answer with the finish reason `insufficient_system_resource`"),
            ),
        ];
        for (reason, name, said) in table {
            let mut answer = Answer::default();
            let data = format!(r#"{{"choices":[{{"text":"a","finish_reason":{reason}}}]}}"#);
            let event = answer.take_event(b"", data.as_bytes()).unwrap();
            assert_eq!((event.finish, event.error), (name.is_some(), said.is_some()), "{reason}");
            assert_eq!((answer.finish_reason.as_deref(), answer.error.as_deref()), (name, said), "{reason}");
        }
    }

    #[test]
    fn an_answer_is_finished_when_all_that_has_begun_is() {
        let finished = |choices: &[&str]| {
            let mut answer = Answer::default();
            for choice in choices {
                answer.take_event(b"", format!(r#"{{"choices":[{choice}]}}"#).as_bytes()).unwrap();
            }
            answer.is_finished()
        };
        let (a, b) = (r#"{"index":0,"text":"a"}"#, r#"{"index":1,"text":"b"}"#);
        let (end_a, end_b) = (r#"{"finish_reason":"stop"}"#, r#"{"index":1.0,"finish_reason":"stop"}"#);
        assert!(!finished(&[]) && !finished(&[a]) && finished(&[a, end_a]) && finished(&[end_a]));
        assert!(!finished(&[a, b, end_a]) && finished(&[a, b, end_a, end_b]) && !finished(&[a, end_a, b]));
        assert!(!finished(&[a, r#"{"index":99,"text":"c"}"#, end_a]));
        // A server that gives a reason with every piece: none of them is the end.
        let each = r#"{"text":"a","finish_reason":"stop"}"#;
        assert!(finished(&[each]) && !finished(&[each, each]) && !finished(&[each, a, end_a]));
        assert!(finished(&[a, end_a, r#"{"text":"","finish_reason":"stop"}"#]));
    }

    #[test]
    fn usage_is_what_was_last_said_of_each_count() {
        let mut answer = Answer::default();
        for usage in [
            r#"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}"#,
            "{}",
            r#"{"completion_tokens":3}"#,
            "null",
        ] {
            answer.take_event(b"", format!(r#"{{"choices":[],"usage":{usage}}}"#).as_bytes()).unwrap();
        }
        let expected = Usage { prompt_tokens: Some(5), completion_tokens: Some(3), cached_tokens: Some(2) };
        assert_eq!(answer.usage, Some(expected));
    }

    #[test]
    fn error_bodies_of_any_shape_give_their_message() {
        let table = [
            (r#"{"error":{"message":"a  b","code":400}}"#, "a b"),
            (r#"{"error":"plain"}"#, "plain"),
            (
                r#"{"detail":"Unexpected fields in the request: {'ignore_eos'}"}"#,
                "Unexpected fields in the request: {'ignore_eos'}",
            ),
            (
                r#"{"detail":[{"loc":["body","model"],"msg":"Field required"}]}"#,
                r#"[{"loc":["body","model"],"msg":"Field required"}]"#,
            ),
            (r#"{"object":"error","message":"no model","type":"x","code":404}"#, "no model"),
            (r#"{"code":1}"#, r#"{"code":1}"#),
            ("Internal Server Error", "Internal Server Error"),
            ("<html>\r\n<head><title>429 Too Many Requests</title></head></html>", "429 Too Many Requests"),
            ("", ""),
        ];
        for (body, expected) in table {
            assert_eq!(error_message(body.as_bytes()), expected, "{body}");
        }
        assert!(error_message("word ".repeat(1000).as_bytes()).len() < 320);
    }
}
