//! llama.cpp's own completion: an event a piece, of which the last one has `stop` and the counts. There is no `[DONE]`.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    asked::Asked,
    dialect::Dialect,
    items::{finish, item, whole},
    json::{Count, Flag, Object, Text, fails},
};
use crate::{
    client::answer::{Answer, Event, Usage},
    dataset::Prompt,
};

pub(super) struct LlamaCpp;

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(default)]
    stop: Flag,
    #[serde(borrow, default)]
    stop_type: Text<'a>,
    #[serde(default)]
    tokens_predicted: Count,
    #[serde(default)]
    tokens_evaluated: Count,
    #[serde(default)]
    timings: Object<Timings>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Timings {
    #[serde(default)]
    cache_n: Count,
}

impl Dialect for LlamaCpp {
    fn name(&self) -> &'static str {
        "llamacpp"
    }

    fn help(&self) -> &'static str {
        "llama.cpp's /completion"
    }

    fn path(&self, _: bool) -> &'static str {
        "/completion"
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { stream, ignore_eos, temperature, top_p, .. } = *asked;
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
        put("prompt", Value::Null);
        put("n_predict", Value::Null);
        put("temperature", json!(temperature));
        put("top_p", json!(top_p));
        put("stream", json!(stream));
        if ignore_eos {
            put("ignore_eos", json!(true));
        }
        fields
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("prompt".to_owned(), json!(prompt.whole_text()));
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body.insert("n_predict".to_owned(), json!(tokens));
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        item(answer, name, data, |answer, json| {
            // With several prompts, `data: null` comes first.
            let item: Option<Item> = serde_json::from_slice(json)?;
            Ok(item.map_or_else(Event::default, |item| take(answer, &item, json)))
        })
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        whole(answer, body, |answer, json| {
            // A list where several prompts were sent.
            let items: Vec<Item> = match json.trim_ascii_start().first() {
                Some(b'[') => serde_json::from_slice(json)?,
                _ => vec![serde_json::from_slice(json)?],
            };
            Ok(items.iter().map(|item| take(answer, item, json)).fold(Event::default(), Event::and))
        })
    }
}

fn take(answer: &mut Answer, item: &Item, json: &[u8]) -> Event {
    let index = item.index.0.unwrap_or(0);
    let mut event = Event { known: item.content.0.is_some(), ..Event::default() };
    event.error = fails(answer, item.error, false, json);
    event.content = item.content.append_to(answer);
    answer.hear(index, event.content);
    if item.stop.0 {
        let reason = item.stop_type.0.as_deref().filter(|reason| !reason.is_empty());
        finish(answer, index, reason.unwrap_or("stop"), "", &mut event);
        event.usage = answer.add_usage(Usage {
            prompt_tokens: item.tokens_evaluated.0,
            completion_tokens: item.tokens_predicted.0,
            cached_tokens: item.timings.0.as_ref().and_then(|timings| timings.cache_n.0),
        });
    }
    event
}
