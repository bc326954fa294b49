//! Reranking, as Jina, Cohere and vLLM have it: a score for each document, in one body. The first input is the query.

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

pub(super) struct Rerank;

impl Dialect for Rerank {
    fn name(&self) -> &'static str {
        "rerank"
    }

    fn help(&self) -> &'static str {
        "Jina's and Cohere's reranking"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/rerank"
    }

    fn generates(&self) -> bool {
        false
    }

    /// The query is one more.
    fn texts(&self, inputs: usize) -> usize {
        inputs + 1
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let names = ["query", "documents"].map(|name| (name.to_owned(), Value::Null));
        Map::from_iter([("model".to_owned(), json!(asked.model))].into_iter().chain(names))
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        let inputs = inputs(prompt);
        let (query, documents) =
            inputs.split_first().map_or((Value::Null, &[][..]), |(first, rest)| (first.clone(), rest));
        body.insert("query".to_owned(), query);
        body.insert("documents".to_owned(), documents.into());
    }

    /// There is none.
    fn set_length(&self, _: &mut Map<String, Value>, _: &str, _: u32) {}

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        take(List::Results, answer, body)
    }
}
