//! Reranking, as Jina, Cohere and vLLM have it: a score for each document, in one body. The first input is the query.

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

pub(super) struct Rerank;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(default)]
    results: Size,
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
        let event = read(body, mend, |json| {
            let body: Body = serde_json::from_slice(json)?;
            let mut event = Event { known: body.results.0.is_some_and(|size| size > 0), ..Event::default() };
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
