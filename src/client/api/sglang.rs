//! SGLang's own generate: events whose text is the whole answer so far, or what was added to it, with counts in each.
//!
//! Which of the two it is no event says. Where `output_ids` are all tokens so far, so is the text; where they are none, it is the
//! whole answer for as long as each text begins with the one before.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    asked::Asked,
    dialect::Dialect,
    items::{finish, item, whole},
    json::{Count, FinishReason, Object, Size, Text, fails},
};
use crate::{
    client::answer::{Answer, Event, Texts, Usage},
    dataset::Prompt,
};

pub(super) struct SgLang;

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(default)]
    output_ids: Size,
    #[serde(borrow, default)]
    meta_info: Object<Meta<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<FinishReason<'a>>,
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    cached_tokens: Count,
}

impl Dialect for SgLang {
    fn name(&self) -> &'static str {
        "sglang"
    }

    fn help(&self) -> &'static str {
        "SGLang's /generate"
    }

    fn path(&self, _: bool) -> &'static str {
        "/generate"
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { stream, ignore_eos, temperature, top_p, .. } = *asked;
        let mut sampling = json!({"max_new_tokens": null, "temperature": temperature, "top_p": top_p});
        if ignore_eos {
            sampling["ignore_eos"] = json!(true);
        }
        Map::from_iter([
            ("text".to_owned(), Value::Null),
            ("sampling_params".to_owned(), sampling),
            ("stream".to_owned(), json!(stream)),
        ])
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("text".to_owned(), json!(prompt.whole_text()));
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body["sampling_params"]["max_new_tokens"] = json!(tokens);
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        item(answer, name, data, |answer, json| {
            let item: Item = serde_json::from_slice(json)?;
            Ok(take(answer, &item, json))
        })
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        whole(answer, body, |answer, json| {
            // A list where several prompts or samples were asked for.
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
    let mut event = Event { known: item.meta_info.0.is_some(), ..Event::default() };
    event.error = fails(answer, item.error, false, json);
    let tokens = item.meta_info.0.as_ref().and_then(|meta| meta.completion_tokens.0);
    if let Some(text) = item.text.0.as_deref() {
        let texts = match (item.output_ids.0, tokens) {
            // Only the first of them are both.
            (Some(ids), Some(tokens)) if ids as u64 == u64::from(tokens) => Some(Texts::SoFar),
            (Some(_), Some(_)) => Some(Texts::Added),
            _ => None,
        };
        event.content = answer.append_either(index, text, texts);
        answer.hear(index, event.content);
    }
    if let Some(meta) = &item.meta_info.0 {
        event.usage = answer.add_usage_of(
            index,
            Usage {
                prompt_tokens: meta.prompt_tokens.0,
                completion_tokens: tokens,
                cached_tokens: meta.cached_tokens.0,
            },
        );
        if let Some(reason) = &meta.finish_reason {
            let text = |text: &Text| text.0.as_deref().unwrap_or_default().to_owned();
            finish(answer, index, &text(&reason.name), &text(&reason.message), &mut event);
        }
    }
    event
}
