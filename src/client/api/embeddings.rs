//! OpenAI's embeddings: a vector for each input, in one body.

use serde_json::{Map, Value, json};

use super::{
    asked::Asked,
    dialect::Dialect,
    lists::{List, take},
    turns::inputs,
};
use crate::{
    client::answer::{Answer, Event},
    dataset::Prompt,
};

pub(super) struct Embeddings;

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
        take(List::Data, answer, body)
    }
}
