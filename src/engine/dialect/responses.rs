use serde_json::{Value, json};

use super::{
    pieces::{TokenItem, counts, end, named_event, texts_of},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// OpenAI's Responses, as vLLM words them.
pub struct Responses;

struct Words {
    id: String,
    model: String,
    token: TokenItem,
}

impl Dialect for Responses {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/responses"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        body["input"].as_str().map(str::to_owned).or_else(|| texts_of(&body["input"]))
    }

    fn asks_for(&self) -> &'static str {
        "`input` must be a string, or a list of messages, each with a text `content`"
    }

    fn length<'a>(&self, body: &'a Value) -> &'a Value {
        &body["max_output_tokens"]
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        let kind = "response.output_text.delta";
        let before = format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"item_id\":\"msg\",\"output_index\":0,\"content_index\":0,\"delta\":\""
        );
        let token = TokenItem::new(before, "\"}\n\n");
        Box::new(Words { id: format!("resp_{:016x}", terms.id), model: terms.model.to_owned(), token })
    }
}

impl Words {
    fn response(&self, text: Option<&str>, finish: &str, usage: &Value) -> Value {
        let (prompt, answer, cached) = counts(usage);
        let incomplete = finish == "length";
        let content = text.map(|text| json!([{"type": "output_text", "text": text}]));
        json!({
            "id": self.id, "object": "response", "model": self.model,
            "status": if incomplete { "incomplete" } else { "completed" },
            "incomplete_details": incomplete.then(|| json!({"reason": "max_output_tokens"})),
            "output": [{"type": "message", "role": "assistant", "content": content}],
            "usage": {"input_tokens": prompt, "output_tokens": answer, "total_tokens": prompt + answer,
                      "input_tokens_details": {"cached_tokens": cached}},
        })
    }
}

impl Wording for Words {
    /// At once, as vLLM and LMDeploy do.
    fn greeting(&self) -> Vec<u8> {
        let mut bytes = http::stream_head("text/event-stream");
        let response =
            json!({"id": self.id, "object": "response", "status": "in_progress", "output": [], "usage": null});
        for kind in ["response.created", "response.in_progress"] {
            named_event(&mut bytes, &json!({"type": kind, "response": response}));
        }
        bytes
    }

    fn token(&mut self, word: &str, first: bool, into: &mut Vec<u8>) {
        if first {
            named_event(
                into,
                &json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}),
            );
            let part = json!({"type": "output_text", "text": ""});
            named_event(into, &json!({"type": "response.content_part.added", "output_index": 0, "part": part}));
        }
        self.token.write(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        let response = self.response(None, finish, usage);
        named_event(into, &json!({"type": "response.completed", "response": response}));
        end(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        http::response(200, "application/json", &self.response(Some(text), finish, usage).to_string())
    }
}
