//! What a dialect of the engine must know.

use serde_json::Value;

use crate::engine::http;

/// One API as the engine speaks it.
pub trait Dialect: Send + Sync {
    /// Where requests are posted to; several dialects may share a path.
    fn paths(&self) -> &'static [&'static str];

    /// The prompt of a body of this dialect; `None` where it is none.
    fn prompt(&self, body: &Value) -> Option<String>;

    /// What is wrong with a body that is none.
    fn asks_for(&self) -> &'static str;

    /// Whether a body has to name the model.
    fn names_model(&self) -> bool {
        true
    }

    /// How many tokens a body asks for, as it stands there.
    fn length<'a>(&self, body: &'a Value) -> &'a Value {
        let field = if body["max_tokens"].is_null() { "max_completion_tokens" } else { "max_tokens" };
        &body[field]
    }

    /// How many results a body asks for at once.
    fn results(&self, _body: &Value) -> usize {
        1
    }

    /// Whether a stream is asked for.
    fn streams(&self, _path: &str, body: &Value) -> bool {
        body["stream"].as_bool().unwrap_or(false)
    }

    /// Whether the answer is to go on to its full length. Where an API has no word for that, it always does.
    fn ignores_eos(&self, body: &Value) -> bool {
        body["ignore_eos"].as_bool().unwrap_or(false)
    }

    /// How one answer is worded.
    fn wording(&self, terms: &Terms) -> Box<dyn Wording>;
}

/// What an answer's wording goes by.
pub struct Terms<'a> {
    /// Another one for each answer.
    pub id: u64,
    pub model: &'a str,
    /// Whether a stream is to report token counts.
    pub include_usage: bool,
    /// How many results are asked for at once.
    pub results: usize,
}

/// Words the pieces of one answer, framed as they go onto the wire; what repeats is built once.
pub trait Wording: Send {
    /// What a stream says before any work is done, its head included.
    fn greeting(&self) -> Vec<u8> {
        http::stream_head("text/event-stream")
    }

    /// An item of the stream that holds this and no more, as it goes wrong on purpose.
    fn item(&self, text: &str) -> Vec<u8> {
        format!("data: {text}\n\n").into_bytes()
    }

    /// Appends one token's event, and before the first of them what belongs there. Words hold nothing that JSON would escape.
    fn token(&mut self, word: &str, first: bool, into: &mut Vec<u8>);

    /// Appends the end of a stream.
    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>);

    /// A whole response that is not streamed.
    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8>;
}
