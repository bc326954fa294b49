//! What an API must say of itself to be spoken.

use serde_json::{Map, Value};

use super::{asked::Asked, openai};
use crate::{
    client::answer::{Answer, Event},
    dataset::Prompt,
};

/// How the items of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    ServerSentEvents,
    /// A JSON object a line.
    JsonLines,
}

impl Framing {
    /// The media type of such a stream.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::ServerSentEvents => "text/event-stream",
            Self::JsonLines => "application/x-ndjson",
        }
    }
}

/// How one API is spoken. What is not said is as OpenAI has it.
pub(crate) trait Dialect: Send + Sync {
    /// As `--api` and report.json name it.
    fn name(&self) -> &'static str;

    /// Whose it is, in a few words for help.
    fn help(&self) -> &'static str;

    /// Where requests are posted to, for a stream or a whole answer.
    fn path(&self, stream: bool) -> &'static str;

    /// The header that carries a key.
    fn credentials(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    /// Headers that every request has, beside those that all APIs share.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Whether it gives tokens. What gives none is never streamed, and has neither token latencies nor a length to ask for.
    fn generates(&self) -> bool {
        true
    }

    /// Texts of a request with so many inputs.
    fn texts(&self, inputs: usize) -> usize {
        inputs
    }

    /// How the items of a stream are told apart.
    fn framing(&self) -> Framing {
        Framing::ServerSentEvents
    }

    /// The fields of every request, in the order in which they are sent; those that are one prompt's are null, and hold their
    /// places.
    fn body(&self, asked: &Asked) -> Map<String, Value>;

    /// Fills in a prompt, sent by the client of that number.
    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, client: usize);

    /// Says how many tokens are wanted; `field` is the name that the setting gives it, where there is a choice.
    fn set_length(&self, body: &mut Map<String, Value>, field: &str, tokens: u32) {
        body.insert(field.to_owned(), tokens.into());
    }

    /// Whether a stream with this body is to end with token counts that are worth waiting for after the last finish reason.
    fn asks_usage(&self, body: &Map<String, Value>) -> bool {
        openai::asks_usage(body)
    }

    /// Takes an item of a stream: of a server-sent event its name and data.
    ///
    /// # Errors
    /// Where it is none of this API's.
    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        openai::take_event(answer, name, data)
    }

    /// Takes a whole body that was not streamed.
    ///
    /// # Errors
    /// Where it is none of this API's.
    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        openai::take_body(answer, body)
    }

    /// Names the setting that drops a field which the server refuses with that message.
    fn hint(&self, message: &str) -> &'static str {
        openai::hint(message)
    }
}
