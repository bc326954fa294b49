use serde_json::{Value, json};

use super::{
    pieces::{TokenItem, counts, end, texts_of},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// Ollama's chat: a JSON object a line.
pub struct Ollama;

struct Words {
    model: String,
    token: TokenItem,
}

impl Dialect for Ollama {
    fn paths(&self) -> &'static [&'static str] {
        &["/api/chat"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        texts_of(&body["messages"])
    }

    fn asks_for(&self) -> &'static str {
        "`messages` must be a list of messages, each with a text `content`"
    }

    fn length<'a>(&self, body: &'a Value) -> &'a Value {
        &body["options"]["num_predict"]
    }

    fn streams(&self, _: &str, body: &Value) -> bool {
        body["stream"].as_bool().unwrap_or(true)
    }

    fn ignores_eos(&self, _: &Value) -> bool {
        true
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        let model = Value::String(terms.model.to_owned());
        let before = format!("{{\"model\":{model},\"message\":{{\"role\":\"assistant\",\"content\":\"");
        let token = TokenItem::new(before, "\"},\"done\":false}\n");
        Box::new(Words { model: terms.model.to_owned(), token })
    }
}

impl Words {
    fn last(&self, text: &str, finish: &str, usage: &Value) -> Value {
        let (prompt, answer, _) = counts(usage);
        json!({"model": self.model, "message": {"role": "assistant", "content": text}, "done": true, "done_reason": finish,
               "prompt_eval_count": prompt, "eval_count": answer})
    }
}

impl Wording for Words {
    fn greeting(&self) -> Vec<u8> {
        http::stream_head("application/x-ndjson")
    }

    fn item(&self, text: &str) -> Vec<u8> {
        format!("{text}\n").into_bytes()
    }

    fn token(&mut self, word: &str, _: bool, into: &mut Vec<u8>) {
        self.token.write(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        http::chunk(into, &self.item(&self.last("", finish, usage).to_string()));
        end(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        http::response(200, "application/json", &self.last(text, finish, usage).to_string())
    }
}
