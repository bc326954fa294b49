//! Answers that list what was asked for, in one body.

use serde_json::{Value, json};

use super::{
    pieces::counts,
    wording::{Terms, Wording},
};
use crate::engine::http;

/// A list, one result after another.
pub struct Words {
    model: String,
    results: usize,
    name: &'static str,
    result: fn(usize) -> Value,
}

impl Words {
    /// Of that name, whose results the function gives by their positions.
    pub fn new(terms: &Terms, name: &'static str, result: fn(usize) -> Value) -> Self {
        Self { model: terms.model.to_owned(), results: terms.results, name, result }
    }
}

impl Wording for Words {
    fn token(&mut self, _: &str, _: bool, _: &mut Vec<u8>) {}

    fn ending(&self, _: &str, _: &Value, _: &mut Vec<u8>) {}

    fn whole(&self, _: &str, _: &str, usage: &Value) -> Vec<u8> {
        let (prompt, ..) = counts(usage);
        let results: Vec<Value> = (0..self.results).map(self.result).collect();
        let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt});
        let body = json!({"object": "list", "model": self.model, self.name: results, "usage": usage});
        http::response(200, "application/json", &body.to_string())
    }
}

/// The length that such an answer has: one step.
pub fn one_step() -> &'static Value {
    static ONE: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!(1));
    &ONE
}
