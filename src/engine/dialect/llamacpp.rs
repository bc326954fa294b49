use serde_json::{Value, json};

use super::{
    pieces::{TokenItem, counts, end, event},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// llama.cpp's own completion.
pub struct LlamaCpp;

struct Words(TokenItem);

impl Dialect for LlamaCpp {
    fn paths(&self) -> &'static [&'static str] {
        &["/completion"]
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

    fn length<'a>(&self, body: &'a Value) -> &'a Value {
        &body["n_predict"]
    }

    fn wording(&self, _: &Terms) -> Box<dyn Wording> {
        let before = "data: {\"index\":0,\"content\":\"".to_owned();
        Box::new(Words(TokenItem::new(before, "\",\"tokens\":[1],\"stop\":false}\n\n")))
    }
}

fn last(text: &str, finish: &str, usage: &Value) -> Value {
    let (prompt, answer, cached) = counts(usage);
    let stop_type = if finish == "length" { "limit" } else { "eos" };
    json!({"index": 0, "content": text, "stop": true, "stop_type": stop_type, "tokens_predicted": answer,
           "tokens_evaluated": prompt, "timings": {"cache_n": cached}})
}

impl Wording for Words {
    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.0.write(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        event(into, &last("", finish, usage));
        end(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        http::response(200, "application/json", &last(text, finish, usage).to_string())
    }
}
