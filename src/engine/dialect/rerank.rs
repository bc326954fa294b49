use serde_json::{Value, json};

use super::{
    lists::{Words, one_step},
    wording::{Dialect, Terms, Wording},
};

/// Reranking by Jina's and Cohere's shape: as long as a prefill and one step take.
pub struct Rerank;

impl Dialect for Rerank {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/rerank"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        let documents: Option<Vec<&str>> = body["documents"].as_array()?.iter().map(Value::as_str).collect();
        Some(format!("{}\n{}", body["query"].as_str()?, documents?.join("\n")))
    }

    fn asks_for(&self) -> &'static str {
        "`query` must be a string, and `documents` a list of strings"
    }

    fn results(&self, body: &Value) -> usize {
        body["documents"].as_array().map_or(1, Vec::len)
    }

    fn length<'a>(&self, _: &'a Value) -> &'a Value {
        one_step()
    }

    fn streams(&self, _: &str, _: &Value) -> bool {
        false
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        Box::new(Words::new(
            terms,
            "results",
            |index| json!({"index": index, "relevance_score": 1.0 / (index + 1) as f64}),
        ))
    }
}
