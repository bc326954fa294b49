use serde_json::{Value, json};

use super::{
    openai::{self, Events},
    wording::{Dialect, Terms, Wording},
};

/// OpenAI's completions.
pub struct Completions;

struct Words(Events);

impl Dialect for Completions {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/completions"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        body["prompt"].as_str().map(str::to_owned)
    }

    fn asks_for(&self) -> &'static str {
        "`prompt` must be a string"
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        let (opening, after) = (r#""text":""#, "\",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
        Box::new(Words(Events::new(terms, format!("cmpl-{:016x}", terms.id), "text_completion", opening, after)))
    }
}

impl Wording for Words {
    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.0.token(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        self.0.choice(json!({"finish_reason": finish, "text": ""}), into);
        self.0.usage(usage, into);
        openai::done(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        self.0.whole(json!({"text": text, "finish_reason": finish}), usage)
    }
}
