//! OpenAI's Responses: named events; text, reasoning and calls in deltas, which later events repeat as a whole; the end, with
//! counts and status, in the last one.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    asked::Asked,
    dialect::Dialect,
    items::{finish, item, whole},
    json::{Count, List, Object, Text, fails},
    turns::messages,
};
use crate::{
    client::answer::{Answer, Event, Usage},
    dataset::Prompt,
};

pub(super) struct Responses;

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    delta: Text<'a>,
    #[serde(borrow, default)]
    response: Object<Response<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    incomplete_details: Object<Incomplete<'a>>,
    #[serde(borrow, default)]
    output: List<Output<'a>>,
    #[serde(default)]
    usage: Object<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
}

#[derive(Default, Deserialize)]
struct Output<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    content: List<Part<'a>>,
    #[serde(borrow, default)]
    summary: List<Part<'a>>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

#[derive(Default, Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    refusal: Text<'a>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    input_tokens_details: Object<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Count,
}

/// A message as an item of the input. An earlier answer is written as the API gave it: llama.cpp takes no other.
fn input_item((place, mut message): (usize, Value)) -> Value {
    message["type"] = "message".into();
    if message["role"] == "assistant" {
        message["id"] = format!("msg_{place}").into();
        message["status"] = "completed".into();
        message["content"] = json!([{"type": "output_text", "text": message["content"], "annotations": []}]);
    }
    message
}

impl Dialect for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn help(&self) -> &'static str {
        "OpenAI's Responses"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/responses"
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { model, stream, ignore_eos, temperature, top_p, .. } = *asked;
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
        put("model", json!(model));
        put("input", Value::Null);
        put("max_output_tokens", Value::Null);
        put("temperature", json!(temperature));
        put("top_p", json!(top_p));
        put("stream", json!(stream));
        if ignore_eos {
            put("ignore_eos", json!(true));
        }
        fields
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        let mut input = json!(prompt.text);
        if !prompt.before.is_empty() {
            input = messages(prompt).into_iter().enumerate().map(input_item).collect::<Vec<_>>().into();
        }
        body.insert("input".to_owned(), input);
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body.insert("max_output_tokens".to_owned(), json!(tokens));
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        true
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        item(answer, name, data, |answer, json| {
            let item: Option<Item> = serde_json::from_slice(json)?;
            Ok(item.map_or_else(Event::default, |item| take(answer, item, json)))
        })
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        whole(answer, body, |answer, json| {
            let item: Item = serde_json::from_slice(json)?;
            let response: Response = serde_json::from_slice(json)?;
            let mut event = Event { known: response.object.is("response"), ..Event::default() };
            event.error = fails(answer, item.error, item.kind.is("error") || item.object.is("error"), json);
            for output in &response.output.0 {
                let reasoning = output.kind.is("reasoning");
                for part in output.summary.0.iter().chain(&output.content.0) {
                    let is_new = part.text.append_to(answer) | part.refusal.append_to(answer);
                    event.reasoning |= is_new && reasoning;
                    event.content |= is_new && !reasoning;
                }
                event.tool_call |= output.arguments.append_to(answer);
            }
            end(answer, &response, json, &mut event);
            Ok(event)
        })
    }
}

fn take(answer: &mut Answer, item: Item, json: &[u8]) -> Event {
    let kind = item.kind.0.as_deref().unwrap_or_default();
    let mut event = Event { known: kind.starts_with("response."), ..Event::default() };
    // `*.done` events and the last one repeat what the deltas have said.
    if let Some(of) = kind.strip_prefix("response.").and_then(|kind| kind.strip_suffix(".delta")) {
        let is_new = item.delta.append_to(answer);
        match of {
            "output_text" | "refusal" => event.content = is_new,
            of if of.starts_with("reasoning") => event.reasoning = is_new,
            // `function_call_arguments`, `mcp_call_arguments`, `custom_tool_call_input` and the like.
            _ => event.tool_call = is_new,
        }
        answer.hear(0, is_new);
        return event;
    }
    event.role = kind == "response.created";
    event.error = fails(answer, item.error, kind == "error" || item.object.is("error"), json);
    if matches!(kind, "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled")
        && let Some(response) = &item.response.0
    {
        end(answer, response, json, &mut event);
        if kind == "response.failed" && !event.error {
            event.error = fails(answer, response.error, true, json);
        }
        answer.done = true;
    }
    event
}

/// Takes what the last event, or a whole body, says of the end.
fn end(answer: &mut Answer, response: &Response, json: &[u8], event: &mut Event) {
    let status = response.status.0.as_deref().unwrap_or_default();
    let why = response.incomplete_details.0.as_ref().and_then(|details| details.reason.0.as_deref());
    let reason = why.filter(|_| status == "incomplete").unwrap_or(status);
    // What the server says of a failure comes before the name of it.
    event.error = event.error || fails(answer, response.error, false, json);
    if !matches!(status, "in_progress" | "queued") {
        finish(answer, 0, reason, "", event);
    }
    event.usage = response.usage.0.as_ref().is_some_and(|usage| {
        answer.add_usage(Usage {
            prompt_tokens: usage.input_tokens.0,
            completion_tokens: usage.output_tokens.0,
            cached_tokens: usage.input_tokens_details.0.as_ref().and_then(|details| details.cached_tokens.0),
        })
    });
}
