//! What the APIs that follow OpenAI's have in common.

use serde_json::{Value, json};

use super::{
    pieces::{TokenItem, end, event},
    wording::Terms,
};
use crate::engine::http;

/// One answer's events.
pub struct Events {
    id: String,
    model: String,
    include_usage: bool,
    token: TokenItem,
}

impl Events {
    /// `opening` and `after` stand around a token's text in its choice.
    pub fn new(terms: &Terms, id: String, object: &str, opening: &str, after: &'static str) -> Self {
        let before = format!(
            r#"data: {{"id":"{id}","object":"{object}","created":0,"model":{},"choices":[{{"index":0,{opening}"#,
            Value::String(terms.model.to_owned())
        );
        let (model, include_usage) = (terms.model.to_owned(), terms.include_usage);
        Self { id, model, include_usage, token: TokenItem::new(before, after) }
    }

    /// Appends a token's event.
    pub fn token(&mut self, word: &str, into: &mut Vec<u8>) {
        self.token.write(word, into);
    }

    /// Appends an event with one choice.
    pub fn choice(&self, choice: Value, into: &mut Vec<u8>) {
        event(into, &self.with_choice(choice));
    }

    /// Appends the usage, where it was asked for.
    pub fn usage(&self, usage: &Value, into: &mut Vec<u8>) {
        if self.include_usage {
            event(into, &json!({"id": self.id, "model": self.model, "choices": [], "usage": usage}));
        }
    }

    /// A response with one choice that is not streamed.
    pub fn whole(&self, choice: Value, usage: &Value) -> Vec<u8> {
        let mut body = self.with_choice(choice);
        body["usage"] = usage.clone();
        http::response(200, "application/json", &body.to_string())
    }

    fn with_choice(&self, mut choice: Value) -> Value {
        choice["index"] = json!(0);
        json!({"id": self.id, "model": self.model, "choices": [choice]})
    }
}

/// Appends `[DONE]` and the end of the body.
pub fn done(into: &mut Vec<u8>) {
    http::chunk(into, b"data: [DONE]\n\n");
    end(into);
}
