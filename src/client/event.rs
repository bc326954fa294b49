//! From the JSON of one event, or of a whole response, to what it means.
//!
//! What is accepted follows from the OpenAI protocol and its dialects: text in `delta.content`, `message.content` or `text`;
//! reasoning in `reasoning` or `reasoning_content`; tool-call arguments; a finish reason; usage anywhere; errors as
//! `{"error": …}` or `{"object": "error", …}` inside HTTP 200.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::failure::one_line;

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

    /// Whether it says that the response has come to its end.
    pub fn is_terminal(self) -> bool {
        self.finish || self.usage || self.error || self.done
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

/// What a response has said so far; kept and cleared for each request, so that its buffers stop growing.
#[derive(Debug, Default)]
pub struct Answer {
    /// All generated text in order of arrival: reasoning, content and tool-call arguments.
    pub text: String,
    /// The last finish reason.
    pub finish_reason: Option<String>,
    /// The last usage.
    pub usage: Option<Usage>,
    /// The first error inside HTTP 200, as one line.
    pub error: Option<String>,
    /// `[DONE]` was seen, or a whole response body.
    pub done: bool,
}

impl Answer {
    /// Forgets the last response but the text buffer's capacity.
    pub fn clear(&mut self) {
        self.text.clear();
        self.finish_reason = None;
        self.usage = None;
        self.error = None;
        self.done = false;
    }

    /// Takes the data of one server-sent event.
    ///
    /// # Errors
    /// Where it is neither `[DONE]` nor JSON.
    pub fn take_event(&mut self, data: &[u8]) -> Result<Event, serde_json::Error> {
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

    fn take_json(&mut self, json: &[u8]) -> Result<Event, serde_json::Error> {
        let mut event = Event::default();
        // `data: null` is a ping of some servers.
        let Some(chunk) = serde_json::from_slice::<Option<Chunk>>(json)? else { return Ok(event) };
        if chunk.object.is("error") || chunk.error.is_some_and(|error| error.get() != "null") {
            event.error = true;
            let error = chunk.error.map_or_else(|| String::from_utf8_lossy(json), |raw| Cow::Borrowed(raw.get()));
            self.error.get_or_insert_with(|| error_message(error.as_bytes()));
        }
        if let Some(choices) = &chunk.choices {
            event.choices = true;
            for choice in choices.first.iter().chain(&choices.rest) {
                self.take_choice(choice, &mut event);
            }
        }
        if let Some(usage) = chunk.usage {
            event.usage = true;
            self.usage = Some(Usage {
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                cached_tokens: usage.prompt_tokens_details.and_then(|details| details.cached_tokens),
            });
        }
        Ok(event)
    }

    fn take_choice(&mut self, choice: &Choice, event: &mut Event) {
        event.content |= self.append(&choice.text);
        for delta in [&choice.delta, &choice.message].into_iter().flatten() {
            event.role |= delta.role.0.is_some();
            // Some servers send the reasoning under both names.
            let reasoning = if delta.reasoning.is_empty() { &delta.reasoning_content } else { &delta.reasoning };
            event.reasoning |= self.append(reasoning);
            event.content |= self.append(&delta.content);
            event.content |= self.append(&delta.refusal);
            for call in delta.tool_calls.iter().flatten() {
                event.tool_call |= self.append(&call.function.arguments);
            }
            if let Some(function) = &delta.function_call {
                event.tool_call |= self.append(&function.arguments);
            }
        }
        if let Some(reason) = &choice.finish_reason.0 {
            event.finish = true;
            self.finish_reason = Some(reason.clone().into_owned());
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

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Choices<'a>>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Text<'a>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Option<u32>,
    #[serde(default)]
    completion_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    role: Text<'a>,
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    refusal: Text<'a>,
    #[serde(borrow, default)]
    reasoning: Text<'a>,
    #[serde(borrow, default)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Function<'a>,
}

#[derive(Deserialize, Default)]
struct Function<'a> {
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

/// A list of choices that allocates nothing for the usual one.
struct Choices<'a> {
    first: Option<Choice<'a>>,
    rest: Vec<Choice<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoicesVisitor;
        impl<'de> Visitor<'de> for ChoicesVisitor {
            type Value = Choices<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of choices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choices<'de>, A::Error> {
                let first = seq.next_element()?;
                let mut rest = Vec::new();
                while let Some(choice) = seq.next_element()? {
                    rest.push(choice);
                }
                Ok(Choices { first, rest })
            }
        }
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

/// A string, borrowed where it has no escapes; anything else (null, a list of parts) counts as none.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    fn is_empty(&self) -> bool {
        self.0.as_deref().is_none_or(str::is_empty)
    }

    fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
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
        ];
        for (data, expected, text) in table {
            let mut answer = Answer::default();
            let event = answer.take_event(data.as_bytes()).unwrap();
            assert_eq!((event, answer.text.as_str()), (*expected, *text), "{data}");
            if expected.error {
                assert_eq!(answer.error.as_deref(), Some("boom"), "{data}");
            }
        }
        for bad in ["{", "hello", "[1]", r#"{"choices": 3}"#, "\"text\""] {
            assert!(Answer::default().take_event(bad.as_bytes()).is_err(), "{bad}");
        }
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
