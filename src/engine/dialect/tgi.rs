use serde_json::{Value, json};

use super::{
    pieces::{TokenItem, counts, end, event},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// Text Generation Inference. The end of a stream, which it puts into the last token's event, is an event of its own.
pub struct Tgi;

struct Words(TokenItem);

impl Dialect for Tgi {
    fn paths(&self) -> &'static [&'static str] {
        &["/generate_stream", "/generate"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        body["inputs"].as_str().map(str::to_owned)
    }

    fn asks_for(&self) -> &'static str {
        "`inputs` must be a string"
    }

    fn names_model(&self) -> bool {
        false
    }

    fn length<'a>(&self, body: &'a Value) -> &'a Value {
        &body["parameters"]["max_new_tokens"]
    }

    fn streams(&self, path: &str, _: &Value) -> bool {
        path == "/generate_stream"
    }

    fn ignores_eos(&self, _: &Value) -> bool {
        true
    }

    fn wording(&self, _: &Terms) -> Box<dyn Wording> {
        let before = "data: {\"token\":{\"id\":1,\"logprob\":-1.0,\"special\":false,\"text\":\"";
        Box::new(Words(TokenItem::new(before.to_owned(), "\"},\"generated_text\":null,\"details\":null}\n\n")))
    }
}

fn last(text: &str, finish: &str, usage: &Value) -> Value {
    let (prompt, answer, _) = counts(usage);
    let reason = if finish == "length" { "length" } else { "eos_token" };
    json!({"generated_text": text, "details": {"finish_reason": reason, "generated_tokens": answer, "input_length": prompt}})
}

impl Wording for Words {
    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.0.write(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        let mut item = last("", finish, usage);
        item["token"] = json!({"id": 2, "text": "</s>", "special": true});
        event(into, &item);
        end(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        http::response(200, "application/json", &last(text, finish, usage).to_string())
    }
}
