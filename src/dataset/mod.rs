//! From a file and a seed to prompts.
//!
//! Takes a ShareGPT file (or the lengths of synthetic prompts), a tokenizer, a sampler policy, a seed and a number; gives
//! the prompts of one pass, in the order in which they are sent, with their token counts and a digest.

#[cfg(feature = "sentencepiece")]
mod charsmap;
mod dump;
mod error;
mod index;
mod json_array;
mod nonce;
mod policy;
mod python_random;
mod sampler;
mod sharegpt;
mod synthetic;
mod tokenizer;
mod workload;

pub use dump::dump_workload;
pub use error::DatasetError;
pub use nonce::{NONCE_TOKENS, with_nonces};
pub use policy::{Limits, Policy};
pub use python_random::PythonRandom;
pub use sampler::Sampler;
pub use sharegpt::{Conversation, ShareGpt};
pub use synthetic::WordList;
pub use tokenizer::Tokenizer;
pub use workload::{Digest, Prompt, Workload};
