//! How the engine speaks each API, a file each; [`DIALECTS`] has a line for each.

mod chat;
mod completions;
mod embeddings;
mod lists;
mod llamacpp;
mod lmdeploy;
mod messages;
mod ollama;
mod openai;
mod pieces;
mod rerank;
mod responses;
mod sglang;
mod tgi;
mod turbomind;
mod wording;

use serde_json::Value;

pub use self::wording::{Dialect, Terms, Wording};

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

/// Whether a path is some dialect's.
pub fn has(path: &str) -> bool {
    DIALECTS.iter().any(|dialect| dialect.paths().contains(&path))
}

/// Whose request this is, and its prompt; the error is what is wrong with the body.
pub fn reads(path: &str, body: &Value) -> Result<(&'static dyn Dialect, String), String> {
    let mut of_path = DIALECTS.iter().filter(|dialect| dialect.paths().contains(&path));
    // Where several have a path, the first one knows what is missing.
    let first = of_path.clone().next().map_or("the path is no API's", |dialect| dialect.asks_for());
    let read = of_path.find_map(|dialect| Some((*dialect, dialect.prompt(body)?)));
    read.ok_or_else(|| first.to_owned())
}
