//! What a dialect of the engine must know.

use serde_json::Value;

use crate::engine::http;

/// One API as the engine speaks it.
pub trait Dialect: Send + Sync {
    /// Where requests are posted to; several dialects may share a path.
    fn path(&self) -> &'static str;

    /// The prompt of a body of this dialect; `None` where it is none.
    fn prompt(&self, body: &Value) -> Option<String>;

    /// What is wrong with a body that is none.
    fn asks_for(&self) -> &'static str;

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
}

/// Words the pieces of one answer, framed as they go onto the wire; what repeats is built once.
pub trait Wording: Send {
    /// What a stream says before any work is done, its head included.
    fn greeting(&self) -> Vec<u8> {
        http::STREAM_HEAD.to_vec()
    }

    /// Appends one token's event, and before the first of them what belongs there. Words hold nothing that JSON would escape.
    fn token(&mut self, word: &str, first: bool, into: &mut Vec<u8>);

    /// Appends the end of a stream.
    fn ending(&self, finish: &str, usage: &Value, into: &mut Vec<u8>);

    /// A whole response that is not streamed.
    fn whole(&self, text: &str, finish: &str, usage: &Value) -> Vec<u8>;
}
