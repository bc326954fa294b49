use serde_json::{Value, json};

use super::{
    openai::{self, Events},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// LMDeploy, November 2023: a role-only event before any work, no finish reason, no usage with streams.
pub struct Lmdeploy;

struct Words(Events);

impl Dialect for Lmdeploy {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/chat/completions"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        body["messages"].as_str().map(str::to_owned)
    }

    fn asks_for(&self) -> &'static str {
        "`messages` must be a string"
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        let opening = r#""delta":{"role":"assistant","content":""#;
        let after = "\"},\"finish_reason\":null}]}\n\n";
        Box::new(Words(Events::new(terms, terms.id.to_string(), "chat.completion.chunk", opening, after)))
    }
}

impl Wording for Words {
    fn greeting(&self) -> Vec<u8> {
        let mut bytes = http::stream_head("text/event-stream");
        self.0.choice(json!({"delta": {"role": "assistant"}, "finish_reason": null}), &mut bytes);
        bytes
    }

    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.0.token(word, into);
    }

    fn ending(&self, _: &str, _: &Value, into: &mut Vec<u8>) {
        openai::done(into);
    }

    fn whole(&self, text: &str, _: &str, usage: &Value) -> Vec<u8> {
        self.0.whole(json!({"message": {"role": "assistant", "content": text}, "finish_reason": null}), usage)
    }
}
