//! What OpenAI's protocol and those that follow it have in common: how an answer is read, and what is asked beside the prompt.
//!
//! Text stands in `delta.content`, `message.content` or `text`, as a string or as a list of parts; reasoning in `reasoning` or
//! `reasoning_content`; then there are tool-call arguments, a finish reason, usage anywhere, and errors inside HTTP 200 in any
//! of the shapes that docs/faults.md lists. An event that strict reading refuses is read once more as JavaScript's and Python's
//! clients read it ([`mend`]).

mod chunk;
mod mend;

use serde_json::{Map, Value, json};

use self::{
    chunk::{Choice, Chunk, Content, RawUsage},
    mend::mend,
};
use super::{
    asked::Asked,
    items::{beside_json, finish},
    json::{Text, fails, read},
};
use crate::client::answer::{Answer, Event, Usage};

/// The fields that are the same for every prompt; `prompt` and the number of tokens hold their places.
pub(super) fn body(asked: &Asked, prompt: &str) -> Map<String, Value> {
    let Asked { model, stream, ignore_eos, temperature, top_p, max_tokens_field, include_usage } = *asked;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
    put("model", json!(model));
    put(prompt, Value::Null);
    put(max_tokens_field, Value::Null);
    put("temperature", json!(temperature));
    put("top_p", json!(top_p));
    put("stream", json!(stream));
    if stream && include_usage {
        put("stream_options", json!({"include_usage": true}));
    }
    if ignore_eos {
        put("ignore_eos", json!(true));
    }
    fields
}

/// Whether a stream is asked to report token counts.
pub(super) fn asks_usage(body: &Map<String, Value>) -> bool {
    body.get("stream_options").is_some_and(|options| options["include_usage"] == json!(true))
}

/// Names the setting that drops a field which the server refuses.
pub(super) fn hint(message: &str) -> &'static str {
    // A validation error may repeat the whole request: a field in it with its value is not the culprit.
    let names = |field: &str| message.contains(field) && !message.contains(&format!("\"{field}\":"));
    if names("ignore_eos") {
        " (use --ignore-eos false to leave out the field `ignore_eos`)"
    } else if names("stream_options") {
        " (use --include-usage false to leave out the field `stream_options`)"
    } else if names("max_completion_tokens") && ["max_tokens", "use ", "Use "].iter().any(|word| message.contains(word))
    {
        " (use --max-tokens-field max_completion_tokens)"
    } else if names("max_completion_tokens") {
        " (use --max-tokens-field max_tokens)"
    } else {
        ""
    }
}

/// Takes the data of one server-sent event. One whose name says so is an error, whatever its data.
///
/// # Errors
/// Where it is neither `[DONE]` nor JSON.
pub(super) fn take_event(answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
    match beside_json(answer, name, data) {
        Some(event) => Ok(event),
        None => take_json(answer, data),
    }
}

/// Takes a whole response body.
///
/// # Errors
/// Where it is not JSON.
pub(super) fn take_body(answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
    let event = take_json(answer, body)?;
    answer.done = true;
    Ok(event)
}

fn take_json(answer: &mut Answer, json: &[u8]) -> Result<Event, serde_json::Error> {
    read(json, mend, |json| {
        let chunk: Option<Chunk> = serde_json::from_slice(json)?;
        // `data: null` is a ping of some servers.
        Ok(chunk.map_or_else(Event::default, |chunk| take_chunk(answer, chunk, json)))
    })
}

fn take_chunk(answer: &mut Answer, chunk: Chunk, json: &[u8]) -> Event {
    let mut event = Event::default();
    if let Some(choices) = &chunk.choices {
        event.known = true;
        for choice in choices.first.iter().chain(&choices.rest) {
            take_choice(answer, choice, &mut event);
        }
    }
    let says_so = chunk.object.0 || chunk.kind.0;
    let is_bare = chunk.choices.is_none() && chunk.code.is_some() && chunk.message.is_some();
    event.error = event.error || fails(answer, chunk.error, says_so || is_bare, json);
    event.usage = chunk.usage.is_some_and(|usage| answer.add_usage(usage_of(usage)));
    event
}

fn take_choice(answer: &mut Answer, choice: &Choice, event: &mut Event) {
    let index = choice.index.0.unwrap_or(0);
    let had = answer.text.len();
    event.content |= choice.text.append_to(answer);
    for delta in choice.delta.iter().chain(choice.message.as_deref()) {
        event.role |= delta.role.0;
        // Some servers send the reasoning under both names.
        let reasoning = if delta.reasoning.is_empty() { &delta.reasoning_content } else { &delta.reasoning };
        event.reasoning |= reasoning.append_to(answer);
        append_content(answer, &delta.content, false, event);
        event.content |= delta.refusal.append_to(answer);
        for call in delta.tool_calls.iter().flatten() {
            event.tool_call |= call.function.as_ref().is_some_and(|function| function.arguments.append_to(answer));
        }
        if let Some(function) = &delta.function_call {
            event.tool_call |= function.arguments.append_to(answer);
        }
    }
    answer.hear(index, answer.text.len() > had);
    if let Some(reason) = &choice.finish_reason {
        let text = |text: &Text| text.0.as_deref().unwrap_or_default().to_owned();
        finish(answer, index, &text(&reason.name), &text(&reason.message), event);
    }
}

fn append_content(answer: &mut Answer, content: &Content, thinking: bool, event: &mut Event) {
    let is_new = content.text.append_to(answer);
    event.reasoning |= is_new && thinking;
    event.content |= is_new && !thinking;
    for part in &content.parts {
        let thinking = thinking || matches!(part.kind.0.as_deref(), Some("thinking" | "reasoning"));
        for of_part in [&part.thinking, &part.text].into_iter().flatten() {
            append_content(answer, of_part, thinking, event);
        }
    }
}

fn usage_of(usage: RawUsage) -> Usage {
    Usage {
        prompt_tokens: usage.prompt_tokens.0,
        completion_tokens: usage.completion_tokens.0,
        cached_tokens: usage.prompt_tokens_details.and_then(|details| details.cached_tokens.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_typed_by_what_they_carry() {
        let none = Event::default();
        let chat = Event { known: true, ..none };
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
            let event = take_event(&mut answer, b"", data.as_bytes()).unwrap();
            assert_eq!((event, answer.text.as_str()), (*expected, *text), "{data}");
            if expected.error {
                assert_eq!(answer.error.as_deref(), Some("boom"), "{data}");
            }
        }
        for (name, data, said) in [
            ("error", "boom", "boom"),
            ("Error", "[DONE]", "[DONE]"),
            ("response.error", r#"{"message":"boom"}"#, "boom"),
            ("error", "", "the server sent an error event without a message"),
        ] {
            let mut answer = Answer::default();
            let event = take_event(&mut answer, name.as_bytes(), data.as_bytes()).unwrap();
            assert_eq!(event, Event { error: true, ..none }, "{name}");
            assert_eq!((answer.error.as_deref(), answer.done), (Some(said), false), "{name}");
        }
        for name in ["message", "errors", "rror", ""] {
            let mut answer = Answer::default();
            assert_eq!(take_event(&mut answer, name.as_bytes(), b"{}").unwrap(), none, "{name}");
        }
        let why = take_event(&mut Answer::default(), b"", br#"{"choices": 3}"#).unwrap_err().to_string();
        assert!(why.contains("expected a list of choices"), "{why}");
        for bad in ["{", "hello", "[1]", r#"{"choices": 3}"#, "\"text\""] {
            assert!(take_event(&mut Answer::default(), b"", bad.as_bytes()).is_err(), "{bad}");
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
            let event = take_event(&mut answer, b"", data.as_bytes()).unwrap();
            assert_eq!((event.finish, event.error), (name.is_some(), said.is_some()), "{reason}");
            assert_eq!((answer.finish_reason.as_deref(), answer.error.as_deref()), (name, said), "{reason}");
        }
    }

    #[test]
    fn an_answer_is_finished_when_all_that_has_begun_is() {
        let finished = |choices: &[&str]| {
            let mut answer = Answer::default();
            for choice in choices {
                take_event(&mut answer, b"", format!(r#"{{"choices":[{choice}]}}"#).as_bytes()).unwrap();
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
            take_event(&mut answer, b"", format!(r#"{{"choices":[],"usage":{usage}}}"#).as_bytes()).unwrap();
        }
        let expected = Usage { prompt_tokens: Some(5), completion_tokens: Some(3), cached_tokens: Some(2) };
        assert_eq!(answer.usage, Some(expected));
    }

    #[test]
    fn a_refused_field_names_its_setting() {
        for (message, expected) in [
            ("unknown field ignore_eos", " (use --ignore-eos false to leave out the field `ignore_eos`)"),
            ("bad request {\"ignore_eos\":true}", ""),
            ("stream_options is not supported", " (use --include-usage false to leave out the field `stream_options`)"),
            ("use max_completion_tokens", " (use --max-tokens-field max_completion_tokens)"),
            (
                "max_tokens is not supported, but max_completion_tokens",
                " (use --max-tokens-field max_completion_tokens)",
            ),
            ("Unrecognized argument: max_completion_tokens", " (use --max-tokens-field max_tokens)"),
            ("too long", ""),
        ] {
            assert_eq!(hint(message), expected, "{message}");
        }
    }
}
