//! The APIs that are spoken, a file each; [`DIALECTS`] has a line for each.

mod asked;
mod chat;
mod completions;
mod dialect;
mod embeddings;
mod items;
mod json;
mod lenient;
mod lists;
mod llamacpp;
mod lmdeploy;
mod messages;
mod ollama;
mod openai;
mod rerank;
mod responses;
mod sglang;
#[cfg(test)]
mod tests;
mod tgi;
mod turbomind;
mod turns;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) use self::asked::Asked;
use self::dialect::Dialect;
pub(super) use self::dialect::Framing;
use super::answer::{Answer, Event};

static DIALECTS: &[&dyn Dialect] = &[
    &chat::Chat,
    &completions::Completions,
    &responses::Responses,
    &messages::Messages,
    &ollama::Ollama,
    &sglang::SgLang,
    &tgi::Tgi,
    &llamacpp::LlamaCpp,
    &lmdeploy::Lmdeploy,
    &embeddings::Embeddings,
    &rerank::Rerank,
    &turbomind::TurboMind,
];

/// The API that a server is spoken to by: `"chat".parse()`, and so on. The default is `chat`, as OpenAI defines it.
#[derive(Clone, Copy)]
pub struct Api(&'static dyn Dialect);

impl Api {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        DIALECTS.iter().map(|dialect| Self(*dialect))
    }

    /// As `--api` and report.json name it.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Whose it is, in a few words.
    pub fn help(self) -> &'static str {
        self.0.help()
    }

    /// The path that requests are posted to, for a stream or a whole answer.
    pub fn path(self, stream: bool) -> &'static str {
        self.0.path(stream)
    }

    /// Whether it gives tokens: embeddings and reranking do not, are never streamed, and may take several inputs a request.
    pub fn generates(self) -> bool {
        self.0.generates()
    }

    /// Texts of a request with so many inputs.
    pub fn texts(self, inputs: usize) -> usize {
        self.0.texts(inputs)
    }

    /// Takes an item of a stream: of a server-sent event its name and data.
    ///
    /// # Errors
    /// Where it is none of this API's.
    pub fn take_item(self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        self.0.take_item(answer, name, data)
    }

    /// Takes a whole body that was not streamed.
    ///
    /// # Errors
    /// Where it is none of this API's.
    pub fn take_body(self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        self.0.take_body(answer, body)
    }

    pub(super) fn dialect(self) -> &'static dyn Dialect {
        self.0
    }
}

impl Default for Api {
    fn default() -> Self {
        Self(&chat::Chat)
    }
}

impl PartialEq for Api {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Api {}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Api {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|api| api.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            let (last, others) = names.split_last().unwrap_or((&"", &[]));
            format!("`{name}` is not an API: use {} or {last}", others.join(", "))
        })
    }
}

impl Serialize for Api {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Api {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
