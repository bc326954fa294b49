//! The parts that the wordings of several APIs share.

use serde_json::Value;

use crate::engine::http;

/// A token's item, of which all but the token is built once.
pub struct TokenItem {
    before: String,
    after: &'static str,
    item: Vec<u8>,
}

impl TokenItem {
    /// With what stands before and after a token's text, framing and all.
    pub fn new(before: String, after: &'static str) -> Self {
        Self { before, after, item: Vec::new() }
    }

    /// Appends it with this token.
    pub fn write(&mut self, word: &str, into: &mut Vec<u8>) {
        self.item.clear();
        self.item.extend_from_slice(self.before.as_bytes());
        self.item.push(b' ');
        self.item.extend_from_slice(word.as_bytes());
        self.item.extend_from_slice(self.after.as_bytes());
        http::chunk(into, &self.item);
    }
}

/// Appends a server-sent event without a name.
pub fn event(into: &mut Vec<u8>, data: &Value) {
    http::chunk(into, format!("data: {data}\n\n").as_bytes());
}

/// Appends a server-sent event with the name that its `type` is.
pub fn named_event(into: &mut Vec<u8>, data: &Value) {
    let name = data["type"].as_str().unwrap_or_default();
    http::chunk(into, format!("event: {name}\ndata: {data}\n\n").as_bytes());
}

/// Appends the end of the body.
pub fn end(into: &mut Vec<u8>) {
    into.extend_from_slice(b"0\r\n\r\n");
}

/// The tokens that a prompt and an answer have, and those of the prompt that came from the cache.
pub fn counts(usage: &Value) -> (u64, u64, u64) {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let cached = &usage["prompt_tokens_details"]["cached_tokens"];
    (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]), count(cached))
}

/// The texts of a list of messages, each with a text `content`.
pub fn texts_of(messages: &Value) -> Option<String> {
    // Earlier answers of Responses are lists of parts.
    let text = |message: &Value| match &message["content"] {
        Value::Array(parts) => parts.iter().map(|part| part["text"].as_str()).collect::<Option<String>>(),
        text => text.as_str().map(str::to_owned),
    };
    let texts: Option<Vec<String>> = messages.as_array()?.iter().map(text).collect();
    texts.map(|texts| texts.join("\n"))
}
