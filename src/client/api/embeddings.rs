//! OpenAI's embeddings: a vector for each input, in one body.

use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    asked::Asked,
    dialect::Dialect,
    json::{Count, Object, Size, Text, fails, read},
    lenient::mend,
    turns::inputs,
};
use crate::{
    client::answer::{Answer, Event, Usage},
    dataset::Prompt,
};

pub(super) struct Embeddings;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(default)]
    data: Size,
    #[serde(default)]
    usage: Object<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
}

impl Dialect for Embeddings {
    fn name(&self) -> &'static str {
        "embeddings"
    }

    fn help(&self) -> &'static str {
        "OpenAI's embeddings"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/embeddings"
    }

    fn generates(&self) -> bool {
        false
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        Map::from_iter([("model".to_owned(), json!(asked.model)), ("input".to_owned(), Value::Null)])
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("input".to_owned(), inputs(prompt).into());
    }

    /// There is none.
    fn set_length(&self, _: &mut Map<String, Value>, _: &str, _: u32) {}

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        let event = read(body, mend, |json| {
            let body: Body = serde_json::from_slice(json)?;
            let mut event = Event { known: body.data.0.is_some_and(|size| size > 0), ..Event::default() };
            event.error = fails(answer, body.error, body.object.is("error"), json);
            event.usage = body.usage.0.is_some_and(|usage| {
                let prompt_tokens = usage.prompt_tokens.0.or(usage.total_tokens.0);
                answer.add_usage(Usage { prompt_tokens, ..Usage::default() })
            });
            Ok(event)
        })?;
        answer.done = true;
        Ok(event)
    }
}
