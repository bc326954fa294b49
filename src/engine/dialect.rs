//! What the engine reads from a request and how it words its answer: chat, completions, and LMDeploy's chat of 2023.

use serde_json::{Value, json};

use super::http;

/// How an answer is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Completions,
    /// LMDeploy, November 2023: a role-only event before any work, no finish reason, no usage with streams.
    Lmdeploy2023,
}

/// A request that was understood.
pub struct Asked {
    pub dialect: Dialect,
    pub prompt: String,
    pub max_tokens: u32,
    pub stream: bool,
    pub include_usage: bool,
    pub ignore_eos: bool,
}

const DEFAULT_MAX_TOKENS: u64 = 16;

impl Asked {
    /// Reads the body of a POST; the error is a status and a message.
    pub fn parse(completions: bool, body: &[u8], model: &str) -> Result<Self, (u16, String)> {
        let bad = |message: String| (400, message);
        let body: Value = serde_json::from_slice(body).map_err(|e| bad(format!("the body is not JSON: {e}")))?;
        match body["model"].as_str() {
            Some(asked) if asked != model => return Err((404, format!("The model `{asked}` does not exist."))),
            None => return Err(bad("`model` is missing".to_owned())),
            Some(_) => {}
        }
        let (dialect, prompt) = if completions {
            let prompt = body["prompt"].as_str().ok_or_else(|| bad("`prompt` must be a string".to_owned()))?;
            (Dialect::Completions, prompt.to_owned())
        } else {
            match &body["messages"] {
                Value::String(prompt) => (Dialect::Lmdeploy2023, prompt.clone()),
                Value::Array(messages) => {
                    let texts: Option<Vec<&str>> = messages.iter().map(|m| m["content"].as_str()).collect();
                    let texts = texts.ok_or_else(|| bad("each message must have a text `content`".to_owned()))?;
                    (Dialect::Chat, texts.join("\n"))
                }
                _ => return Err(bad("`messages` is missing".to_owned())),
            }
        };
        let max_tokens = ["max_tokens", "max_completion_tokens"].iter().map(|key| &body[*key]).find(|v| !v.is_null());
        let max_tokens = match max_tokens {
            None => DEFAULT_MAX_TOKENS,
            Some(value) => value.as_u64().ok_or_else(|| bad("`max_tokens` must be a whole number".to_owned()))?,
        };
        match u32::try_from(max_tokens) {
            Ok(0) | Err(_) => Err(bad(format!("`max_tokens` must be at least 1, got {max_tokens}"))),
            Ok(max_tokens) => Ok(Self {
                dialect,
                prompt,
                max_tokens,
                stream: body["stream"].as_bool().unwrap_or(false),
                include_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
                ignore_eos: body["ignore_eos"].as_bool().unwrap_or(false),
            }),
        }
    }
}

/// Words the pieces of one answer; what repeats is built once.
pub struct Wording {
    dialect: Dialect,
    include_usage: bool,
    id: String,
    model: String,
    /// What stands before and after a token's text in its event.
    before: String,
    after: &'static str,
    event: Vec<u8>,
}

impl Wording {
    pub fn new(asked: &Asked, id: u64, model: &str) -> Self {
        let (object, id) = match asked.dialect {
            Dialect::Completions => ("text_completion", format!("cmpl-{id:016x}")),
            Dialect::Chat => ("chat.completion.chunk", format!("chatcmpl-{id:016x}")),
            Dialect::Lmdeploy2023 => ("chat.completion.chunk", id.to_string()),
        };
        let envelope = format!(
            r#"data: {{"id":"{id}","object":"{object}","created":0,"model":{},"choices":[{{"index":0,"#,
            Value::String(model.to_owned())
        );
        let (opening, after) = match asked.dialect {
            Dialect::Completions => (r#""text":""#, "\",\"logprobs\":null,\"finish_reason\":null}]}\n\n"),
            Dialect::Chat => (r#""delta":{"content":""#, "\"},\"finish_reason\":null}]}\n\n"),
            Dialect::Lmdeploy2023 => {
                (r#""delta":{"role":"assistant","content":""#, "\"},\"finish_reason\":null}]}\n\n")
            }
        };
        Self {
            dialect: asked.dialect,
            include_usage: asked.include_usage,
            id,
            model: model.to_owned(),
            before: envelope + opening,
            after,
            event: Vec::new(),
        }
    }

    /// What a stream says before any work is done.
    pub fn greeting(&self) -> Vec<u8> {
        let mut bytes = http::STREAM_HEAD.to_vec();
        if self.dialect == Dialect::Lmdeploy2023 {
            self.data(&mut bytes, &self.choice(json!({"delta": {"role": "assistant"}, "finish_reason": null})));
        }
        bytes
    }

    /// Appends the event of one token; `first` ones name the speaker in an event of their own before it, as vLLM does.
    /// Words hold nothing that JSON would escape.
    pub fn token(&mut self, word: &str, first: bool, into: &mut Vec<u8>) {
        if first && self.dialect == Dialect::Chat {
            let role = self.choice(json!({"delta": {"role": "assistant", "content": ""}, "finish_reason": null}));
            self.data(into, &role);
        }
        self.event.clear();
        self.event.extend_from_slice(self.before.as_bytes());
        self.event.push(b' ');
        self.event.extend_from_slice(word.as_bytes());
        self.event.extend_from_slice(self.after.as_bytes());
        http::chunk(into, &self.event);
    }

    /// Appends the end of a stream.
    pub fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>) {
        if self.dialect != Dialect::Lmdeploy2023 {
            let mut choice = json!({"finish_reason": finish});
            match self.dialect {
                Dialect::Completions => choice["text"] = json!(""),
                _ => choice["delta"] = json!({}),
            }
            self.data(into, &self.choice(choice));
            if self.include_usage {
                let event = json!({"id": self.id, "model": self.model, "choices": [], "usage": usage});
                self.data(into, &event);
            }
        }
        http::chunk(into, b"data: [DONE]\n\n");
        into.extend_from_slice(b"0\r\n\r\n");
    }

    /// A whole response that is not streamed.
    pub fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8> {
        let finish = match self.dialect {
            Dialect::Lmdeploy2023 => Value::Null,
            _ => json!(finish),
        };
        let choice = match self.dialect {
            Dialect::Completions => json!({"text": text, "finish_reason": finish}),
            _ => json!({"message": {"role": "assistant", "content": text}, "finish_reason": finish}),
        };
        let mut body = self.choice(choice);
        body["usage"] = usage.clone();
        http::response(200, "application/json", &body.to_string())
    }

    fn choice(&self, mut choice: Value) -> Value {
        choice["index"] = json!(0);
        json!({"id": self.id, "model": self.model, "choices": [choice]})
    }

    fn data(&self, into: &mut Vec<u8>, event: &Value) {
        http::chunk(into, format!("data: {event}\n\n").as_bytes());
    }
}
