//! Text Generation Inference: an event a token, of which the last one has the whole text and the details.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    asked::Asked,
    dialect::Dialect,
    items::{finish, item},
    json::{Count, Flag, Object, Text, fails, read},
    lenient::mend,
};
use crate::{
    client::answer::{Answer, Event, Usage},
    dataset::Prompt,
};

pub(super) struct Tgi;

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    token: Object<Token<'a>>,
    #[serde(borrow, default)]
    generated_text: Text<'a>,
    #[serde(borrow, default)]
    details: Object<Details<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(default)]
    special: Flag,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(default)]
    generated_tokens: Count,
    #[serde(default)]
    input_length: Count,
}

impl Dialect for Tgi {
    fn name(&self) -> &'static str {
        "tgi"
    }

    fn help(&self) -> &'static str {
        "Text Generation Inference's /generate_stream"
    }

    fn path(&self, stream: bool) -> &'static str {
        if stream { "/generate_stream" } else { "/generate" }
    }

    /// It refuses a temperature of 0 and a `top_p` of 1: what they mean is said by leaving them out.
    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { temperature, top_p, .. } = *asked;
        let mut parameters = json!({"max_new_tokens": null, "do_sample": temperature > 0.0, "details": true});
        if temperature > 0.0 {
            parameters["temperature"] = json!(temperature);
        }
        if top_p < 1.0 {
            parameters["top_p"] = json!(top_p);
        }
        Map::from_iter([("inputs".to_owned(), Value::Null), ("parameters".to_owned(), parameters)])
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("inputs".to_owned(), json!(prompt.whole_text()));
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body["parameters"]["max_new_tokens"] = json!(tokens);
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        item(answer, name, data, |answer, json| {
            let item: Item = serde_json::from_slice(json)?;
            let mut event = Event { known: item.token.0.is_some(), ..Event::default() };
            event.error = fails(answer, item.error, false, json);
            if let Some(token) = item.token.0.as_ref().filter(|token| !token.special.0) {
                event.content = token.text.append_to(answer);
                answer.hear(0, event.content);
            }
            end(answer, &item, &mut event);
            Ok(event)
        })
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        read(body, mend, |json| {
            let item: Item = serde_json::from_slice(json)?;
            let mut event = Event { known: item.generated_text.0.is_some(), ..Event::default() };
            event.error = fails(answer, item.error, false, json);
            event.content = item.generated_text.append_to(answer);
            end(answer, &item, &mut event);
            Ok(event)
        })
    }
}

/// The whole text and the details come with the last token.
fn end(answer: &mut Answer, item: &Item, event: &mut Event) {
    if item.generated_text.0.is_none() {
        return;
    }
    answer.done = true;
    let Some(details) = &item.details.0 else { return };
    finish(answer, 0, details.finish_reason.0.as_deref().unwrap_or_default(), "", event);
    event.usage = answer.add_usage(Usage {
        prompt_tokens: details.input_length.0,
        completion_tokens: details.generated_tokens.0,
        cached_tokens: None,
    });
}
