use serde_json::{Value, json};

use super::{
    pieces::{counts, event},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

use super::openai;

/// SGLang's own generate: each event has the whole text so far.
pub struct SgLang;

struct Words {
    text: String,
    tokens: u64,
}

impl Dialect for SgLang {
    fn paths(&self) -> &'static [&'static str] {
        &["/generate"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        body["text"].as_str().map(str::to_owned)
    }

    fn asks_for(&self) -> &'static str {
        "`text` must be a string, or `inputs`, as Text Generation Inference has it"
    }

    fn names_model(&self) -> bool {
        false
    }

    fn length<'a>(&self, body: &'a Value) -> &'a Value {
        &body["sampling_params"]["max_new_tokens"]
    }

    fn ignores_eos(&self, body: &Value) -> bool {
        body["sampling_params"]["ignore_eos"].as_bool().unwrap_or(false)
    }

    fn wording(&self, _: &Terms) -> Box<dyn Wording> {
        Box::new(Words { text: String::new(), tokens: 0 })
    }
}

fn item(text: &str, finish: Option<&str>, usage: &Value) -> Value {
    let (prompt, answer, cached) = counts(usage);
    let finish = finish.map(|finish| json!({"type": finish}));
    json!({"text": text, "meta_info": {"finish_reason": finish, "prompt_tokens": prompt, "completion_tokens": answer,
                                       "cached_tokens": cached}})
}

impl Wording for Words {
    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.text.push(' ');
        self.text.push_str(word);
        self.tokens += 1;
        let tokens = self.tokens;
        event(into, &json!({"text": self.text, "meta_info": {"finish_reason": null, "completion_tokens": tokens}}));
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        event(into, &item(&self.text, Some(finish), usage));
        openai::done(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        http::response(200, "application/json", &item(text, Some(finish), usage).to_string())
    }
}
