use serde_json::{Value, json};

use super::{
    pieces::counts,
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// Reranking by Jina's and Cohere's shape: as long as a prefill and one step take.
pub struct Rerank;

struct Words {
    model: String,
    results: usize,
}

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

    /// One step.
    fn length<'a>(&self, _: &'a Value) -> &'a Value {
        static ONE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!(1));
        &ONE
    }

    fn streams(&self, _: &str, _: &Value) -> bool {
        false
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        Box::new(Words { model: terms.model.to_owned(), results: terms.results })
    }
}

impl Wording for Words {
    fn token(&mut self, _: &str, _: bool, _: &mut Vec<u8>) {}

    fn ending(&self, _: &str, _: &Value, _: &mut Vec<u8>) {}

    fn whole(&self, _: &str, _: &str, usage: &Value) -> Vec<u8> {
        let (prompt, ..) = counts(usage);
        let score = |index: usize| json!({"index": index, "relevance_score": 1.0 / (index + 1) as f64});
        let results: Vec<Value> = (0..self.results).map(score).collect();
        let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt});
        let body = json!({"object": "list", "model": self.model, "results": results, "usage": usage});
        http::response(200, "application/json", &body.to_string())
    }
}
