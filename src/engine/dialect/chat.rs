use serde_json::{Value, json};

use super::{
    openai::{self, Events},
    pieces::texts_of,
    wording::{Dialect, Terms, Wording},
};

/// OpenAI's chat completions.
pub struct Chat;

struct Words(Events);

impl Dialect for Chat {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/chat/completions"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        texts_of(&body["messages"])
    }

    fn asks_for(&self) -> &'static str {
        "`messages` must be a list of messages, each with a text `content`"
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        let (opening, after) = (r#""delta":{"content":""#, "\"},\"finish_reason\":null}]}\n\n");
        Box::new(Words(Events::new(
            terms,
            format!("chatcmpl-{:016x}", terms.id),
            "chat.completion.chunk",
            opening,
            after,
        )))
    }
}

impl Wording for Words {
    /// The speaker is named in an event of its own before the first token, as vLLM does.
    fn token(&mut self, word: &str, first: bool, into: &mut Vec<u8>) {
        if first {
            let role = json!({"delta": {"role": "assistant", "content": ""}, "finish_reason": null});
            self.0.choice(role, into);
        }
        self.0.token(word, into);
    }

    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        self.0.choice(json!({"finish_reason": finish, "delta": {}}), into);
        self.0.usage(usage, into);
        openai::done(into);
    }

    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        self.0.whole(json!({"message": {"role": "assistant", "content": text}, "finish_reason": finish}), usage)
    }
}
