//! Anthropic's Messages: named events; blocks of text, thinking and tool input in deltas; counts over two events, of which the
//! later one has the totals.

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

pub(super) struct Messages;

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    delta: Object<Block<'a>>,
    #[serde(borrow, default)]
    content_block: Object<Block<'a>>,
    #[serde(default)]
    message: Object<Start>,
    #[serde(default)]
    usage: Object<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A whole body.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    content: List<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    #[serde(default)]
    usage: Object<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A block of the content, or what is added to one.
#[derive(Default, Deserialize)]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    partial_json: Text<'a>,
    /// Of a tool call in a whole body.
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    usage: Object<RawUsage>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    cache_read_input_tokens: Count,
    #[serde(default)]
    cache_creation_input_tokens: Count,
}

impl RawUsage {
    /// What came from the cache, and what went into it, is no part of the input here.
    fn counts(&self) -> Usage {
        let cache = self.cache_read_input_tokens.0.unwrap_or(0) + self.cache_creation_input_tokens.0.unwrap_or(0);
        Usage {
            prompt_tokens: self.input_tokens.0.map(|tokens| tokens + cache),
            completion_tokens: self.output_tokens.0,
            cached_tokens: self.cache_read_input_tokens.0,
        }
    }
}

impl Dialect for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn help(&self) -> &'static str {
        "Anthropic's Messages"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/messages"
    }

    fn credentials(&self, key: &str) -> (&'static str, String) {
        ("x-api-key", key.to_owned())
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    /// Nothing here says that an answer is to go on to its full length.
    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { model, stream, temperature, top_p, .. } = *asked;
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
        put("model", json!(model));
        put("messages", Value::Null);
        put("max_tokens", Value::Null);
        put("temperature", json!(temperature));
        put("top_p", json!(top_p));
        put("stream", json!(stream));
        fields
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        let (system, others): (Vec<Value>, Vec<Value>) =
            messages(prompt).into_iter().partition(|message| message["role"] == "system");
        body.insert("messages".to_owned(), others.into());
        // The system's words stand beside the messages.
        let system: Vec<&str> = system.iter().filter_map(|message| message["content"].as_str()).collect();
        if !system.is_empty() {
            body.insert("system".to_owned(), system.join("\n").into());
        }
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body.insert("max_tokens".to_owned(), json!(tokens));
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        true
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        item(answer, name, data, |answer, json| {
            let item: Option<Item> = serde_json::from_slice(json)?;
            Ok(item.map_or_else(Event::default, |item| take(answer, &item, json)))
        })
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        whole(answer, body, |answer, json| {
            let message: Message = serde_json::from_slice(json)?;
            let mut event = Event { known: message.kind.is("message"), ..Event::default() };
            event.error = fails(answer, message.error, message.kind.is("error"), json);
            for block in &message.content.0 {
                append(answer, block, &mut event);
                if let Some(input) = block.input {
                    event.tool_call |= answer.append(input.get());
                }
            }
            stop(answer, &message.stop_reason, &mut event);
            event.usage = message.usage.0.as_ref().is_some_and(|usage| answer.add_usage(usage.counts()));
            Ok(event)
        })
    }
}

fn take(answer: &mut Answer, item: &Item, json: &[u8]) -> Event {
    let mut event = Event { known: true, ..Event::default() };
    match item.kind.0.as_deref().unwrap_or_default() {
        "message_start" => {
            event.role = true;
            let usage = item.message.0.as_ref().and_then(|message| message.usage.0.as_ref());
            // Some say 0 or 1 for an output that is still to come.
            let counts = usage.map(|usage| Usage { completion_tokens: None, ..usage.counts() });
            event.usage = counts.is_some_and(|counts| answer.add_usage(counts));
        }
        "content_block_start" | "content_block_delta" => {
            let had = answer.text.len();
            for block in [&item.content_block, &item.delta].into_iter().filter_map(|block| block.0.as_ref()) {
                append(answer, block, &mut event);
            }
            answer.hear(0, answer.text.len() > had);
        }
        "message_delta" => {
            if let Some(delta) = &item.delta.0 {
                stop(answer, &delta.stop_reason, &mut event);
            }
            event.usage = item.usage.0.as_ref().is_some_and(|usage| answer.add_usage(usage.counts()));
        }
        "message_stop" => {
            answer.done = true;
            event.done = true;
        }
        "content_block_stop" => {}
        kind => {
            let says_so = kind == "error";
            event = Event { error: fails(answer, item.error, says_so, json), ..Event::default() };
        }
    }
    event
}

/// Blocks may overlap; their texts are one answer's, in order of arrival.
fn append(answer: &mut Answer, block: &Block, event: &mut Event) {
    event.reasoning |= block.thinking.append_to(answer);
    event.content |= block.text.append_to(answer);
    event.tool_call |= block.partial_json.append_to(answer);
}

fn stop(answer: &mut Answer, reason: &Text, event: &mut Event) {
    finish(answer, 0, reason.0.as_deref().unwrap_or_default(), "", event);
}
