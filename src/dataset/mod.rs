//! From a file and a seed to prompts.
//!
//! Takes a ShareGPT file (or the lengths of synthetic prompts), a tokenizer, a sampler policy, a seed and a number; gives
//! the prompts of one pass, in the order in which they are sent, with their token counts and a digest.

#[cfg(feature = "sentencepiece")]
mod charsmap;
#[cfg(feature = "harness")]
mod columns;
mod conversations;
mod counter;
#[expect(clippy::module_inception, reason = "what the folder is about")]
mod dataset;
mod distribution;
#[cfg(feature = "harness")]
mod dump;
mod error;
#[cfg(feature = "fast-count")]
mod fast;
mod history;
mod index;
mod json_array;
mod jsonl;
#[cfg(feature = "harness")]
mod nonce;
mod own;
#[cfg(feature = "harness")]
mod pairs;
#[cfg(feature = "harness")]
mod pauses;
mod plain;
mod policy;
mod prefix;
mod prompts;
mod python_random;
mod sampler;
mod sequence;
mod session_file;
mod sessions;
mod sharegpt;
mod source;
mod synthetic;
mod tokenizer;
#[cfg(feature = "harness")]
mod trace;
pub(crate) mod words;

pub use conversations::ShareGpt;
pub use dataset::Dataset;
pub use distribution::Distribution;
#[cfg(feature = "harness")]
pub(crate) use dump::dump_workload;
pub use error::DatasetError;
pub use history::{History, HistoryFrom, Message};
#[cfg(feature = "harness")]
pub(crate) use nonce::{NONCE_TOKENS, with_nonces};
pub use own::OwnPrompts;
#[cfg(feature = "harness")]
pub(crate) use pauses::draw_pauses;
pub use policy::{Limits, Policy, SystemTurns};
pub use prompts::{Digest, Prompt, Prompts};
pub use python_random::PythonRandom;
pub use sampler::Sampler;
pub use sequence::Sequence;
pub use source::{Described, Opening, Source};
pub use tokenizer::Tokenizer;
#[cfg(feature = "harness")]
pub use trace::TraceWindow;
pub(crate) use words::WordList;
#[cfg(feature = "harness")]
pub(crate) use words::letters;
