//! Ollama's chat: a JSON object a line, the last of which has `done` and the counts.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    asked::Asked,
    dialect::{Dialect, Framing},
    items::{finish, item},
    json::{Count, Flag, List, Object, Text, fails, read},
    lenient::mend,
    turns::messages,
};
use crate::{
    client::answer::{Answer, Event, Usage},
    dataset::Prompt,
};

pub(super) struct Ollama;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    /// In place of the message, from `/api/generate`.
    #[serde(borrow, default)]
    response: Text<'a>,
    #[serde(default)]
    done: Flag,
    #[serde(borrow, default)]
    done_reason: Text<'a>,
    #[serde(default)]
    prompt_eval_count: Count,
    #[serde(default)]
    eval_count: Count,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Text<'a>,
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: List<ToolCall<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Object<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl Dialect for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn help(&self) -> &'static str {
        "Ollama's /api/chat"
    }

    fn path(&self, _: bool) -> &'static str {
        "/api/chat"
    }

    fn framing(&self) -> Framing {
        Framing::JsonLines
    }

    /// Nothing here says that an answer is to go on to its full length. Streams are the default, and so must be declined.
    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { model, stream, temperature, top_p, .. } = *asked;
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
        put("model", json!(model));
        put("messages", Value::Null);
        put("stream", json!(stream));
        put("options", json!({"num_predict": null, "temperature": temperature, "top_p": top_p}));
        fields
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("messages".to_owned(), messages(prompt).into());
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body["options"]["num_predict"] = json!(tokens);
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        item(answer, name, data, take)
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        read(body, mend, |json| take(answer, json))
    }
}

fn take(answer: &mut Answer, json: &[u8]) -> Result<Event, serde_json::Error> {
    let line: Line = serde_json::from_slice(json)?;
    let mut event = Event { known: line.message.0.is_some() || line.done.0, ..Event::default() };
    event.known |= line.response.0.is_some();
    event.error = fails(answer, line.error, false, json);
    let had = answer.text.len();
    if let Some(message) = &line.message.0 {
        event.role = !message.role.is_empty();
        event.reasoning = message.thinking.append_to(answer);
        event.content = message.content.append_to(answer);
        for function in message.tool_calls.0.iter().filter_map(|call| call.function.0.as_ref()) {
            event.tool_call |= function.arguments.is_some_and(|arguments| answer.append(arguments.get()));
        }
    }
    event.content |= line.response.append_to(answer);
    answer.hear(0, answer.text.len() > had);
    if line.done.0 {
        let reason = line.done_reason.0.as_deref().filter(|reason| !reason.is_empty());
        finish(answer, 0, reason.unwrap_or("stop"), "", &mut event);
        event.usage = answer.add_usage(Usage {
            prompt_tokens: line.prompt_eval_count.0,
            completion_tokens: line.eval_count.0,
            cached_tokens: None,
        });
        answer.done = true;
    }
    Ok(event)
}
