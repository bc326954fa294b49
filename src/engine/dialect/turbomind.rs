use serde_json::{Value, json};

use super::{
    openai,
    pieces::{counts, event},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// The generate of today's LMDeploy: each event has what was added.
pub struct TurboMind;

/// The tokens so far.
struct Words(u64);

impl Dialect for TurboMind {
    fn paths(&self) -> &'static [&'static str] {
        &["/generate"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        body["prompt"].as_str().map(str::to_owned)
    }

    fn asks_for(&self) -> &'static str {
        "`prompt` must be a string"
    }

    fn names_model(&self) -> bool {
        false
    }

    fn wording(&self, _: &Terms) -> Box<dyn Wording> {
        Box::new(Words(0))
    }
}

fn last(text: &str, finish: &str, usage: &Value) -> Value {
    let (prompt, answer, cached) = counts(usage);
    json!({"text": text, "meta_info": {"finish_reason": {"type": finish}, "prompt_tokens": prompt, "completion_tokens": answer,
                                       "cached_tokens": cached}})
}

impl Wording for Words {
    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.0 += 1;
        let counts = json!({"finish_reason": null, "completion_tokens": self.0});
        event(into, &json!({"text": format!(" {word}"), "output_ids": [1], "meta_info": counts}));
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        event(into, &last("", finish, usage));
        openai::done(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        http::response(200, "application/json", &last(text, finish, usage).to_string())
    }
}
