use serde_json::{Value, json};

use super::{
    pieces::{TokenItem, counts, end, named_event, texts_of},
    wording::{Dialect, Terms, Wording},
};
use crate::engine::http;

/// Anthropic's Messages.
pub struct Messages;

struct Words {
    id: String,
    model: String,
    token: TokenItem,
}

impl Dialect for Messages {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/messages"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        texts_of(&body["messages"])
    }

    fn asks_for(&self) -> &'static str {
        "`messages` must be a list of messages, each with a text `content`"
    }

    fn ignores_eos(&self, _: &Value) -> bool {
        true
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        let kind = "content_block_delta";
        let before = format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\""
        );
        let token = TokenItem::new(before, "\"}}\n\n");
        Box::new(Words { id: format!("msg_{:016x}", terms.id), model: terms.model.to_owned(), token })
    }
}

fn reason(finish: &str) -> &'static str {
    if finish == "length" { "max_tokens" } else { "end_turn" }
}

/// What came from the cache is no part of the input here.
fn usage_of(usage: &Value) -> Value {
    let (prompt, answer, cached) = counts(usage);
    json!({"input_tokens": prompt.saturating_sub(cached), "output_tokens": answer, "cache_read_input_tokens": cached})
}

impl Wording for Words {
    fn token(&mut self, word: &str, first: bool, into: &mut Vec<u8>) {
        if first {
            let message = json!({"id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
                                 "stop_reason": null, "usage": {"output_tokens": 1}});
            named_event(into, &json!({"type": "message_start", "message": message}));
            let block = json!({"type": "text", "text": ""});
            named_event(into, &json!({"type": "content_block_start", "index": 0, "content_block": block}));
            named_event(into, &json!({"type": "ping"}));
        }
        self.token.write(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        named_event(into, &json!({"type": "content_block_stop", "index": 0}));
        let delta = json!({"stop_reason": reason(finish), "stop_sequence": null});
        named_event(into, &json!({"type": "message_delta", "delta": delta, "usage": usage_of(usage)}));
        named_event(into, &json!({"type": "message_stop"}));
        end(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        let body = json!({"id": self.id, "type": "message", "role": "assistant", "model": self.model,
                          "content": [{"type": "text", "text": text}], "stop_reason": reason(finish), "usage": usage_of(usage)});
        http::response(200, "application/json", &body.to_string())
    }
}
