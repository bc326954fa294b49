//! What the engine reads from a request.

use serde_json::Value;

use super::dialect::{self, Dialect, Terms, Wording};

/// A request that was understood.
pub struct Asked {
    dialect: &'static dyn Dialect,
    pub prompt: String,
    pub max_tokens: u32,
    pub stream: bool,
    pub include_usage: bool,
    results: usize,
    pub ignore_eos: bool,
}

const DEFAULT_MAX_TOKENS: u64 = 16;

impl Asked {
    /// Reads the body of a POST to a path that some dialect has; the error is a status and a message.
    pub fn parse(path: &str, body: &[u8], model: &str) -> Result<Self, (u16, String)> {
        let bad = |message: String| (400, message);
        let body: Value = serde_json::from_slice(body).map_err(|e| bad(format!("the body is not JSON: {e}")))?;
        if let Some(asked) = body["model"].as_str().filter(|asked| *asked != model) {
            return Err((404, format!("The model `{asked}` does not exist.")));
        }
        let (dialect, prompt) = dialect::reads(path, &body).map_err(bad)?;
        if dialect.names_model() && !body["model"].is_string() {
            return Err(bad("`model` is missing".to_owned()));
        }
        let max_tokens = match dialect.length(&body) {
            Value::Null => DEFAULT_MAX_TOKENS,
            value => value.as_u64().ok_or_else(|| bad("`max_tokens` must be a whole number".to_owned()))?,
        };
        match u32::try_from(max_tokens) {
            Ok(0) | Err(_) => Err(bad(format!("`max_tokens` must be at least 1, got {max_tokens}"))),
            Ok(max_tokens) => Ok(Self {
                dialect,
                prompt,
                max_tokens,
                stream: dialect.streams(path, &body),
                results: dialect.results(&body),
                include_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
                ignore_eos: dialect.ignores_eos(&body),
            }),
        }
    }

    /// How its answer is worded.
    pub fn wording(&self, id: u64, model: &str) -> Box<dyn Wording> {
        self.dialect.wording(&Terms { id, model, include_usage: self.include_usage, results: self.results })
    }
}
