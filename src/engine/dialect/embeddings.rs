use serde_json::{Value, json};

use super::{
    pieces::counts,
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// OpenAI's embeddings: as long as a prefill and one step take.
pub struct Embeddings;

struct Words {
    model: String,
    results: usize,
}

impl Dialect for Embeddings {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/embeddings"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = || body["input"].as_array()?.iter().map(text).collect::<Option<Vec<String>>>();
        text(&body["input"]).or_else(|| Some(list()?.join("\n")))
    }

    fn asks_for(&self) -> &'static str {
        "`input` must be a string, or a list of strings"
    }

    fn results(&self, body: &Value) -> usize {
        body["input"].as_array().map_or(1, Vec::len)
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
        let vector =
            |index: usize| json!({"object": "embedding", "index": index, "embedding": [0.5, -0.5, 0.25, 0.75]});
        let results: Vec<Value> = (0..self.results).map(vector).collect();
        let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt});
        let body = json!({"object": "list", "model": self.model, "data": results, "usage": usage});
        http::response(200, "application/json", &body.to_string())
    }
}
