//! The dataset and the tokenizer that come with the crate, for runs without a server of one's own.
//!
//! `fixtures/generate.py` makes both; the conversations have the length distribution of the published ShareGPT file.

use crate::dataset::{Dataset, DatasetError, ShareGpt, Tokenizer};

const TOKENIZER: &[u8] = include_bytes!("../fixtures/tokenizer.json");
const DATASET: &[u8] = include_bytes!("../fixtures/sharegpt.json");

/// 1,200 conversations in ShareGPT's format.
pub fn dataset() -> Dataset {
    Dataset::new(ShareGpt::Embedded("fixtures/sharegpt.json", DATASET))
}

/// A byte-level BPE with a vocabulary of 4,096 that adds a BOS.
///
/// # Errors
/// None that a build of this crate has shown: the file is part of it.
pub fn tokenizer() -> Result<Tokenizer, DatasetError> {
    Tokenizer::from_json(TOKENIZER)
        .map_err(|why| DatasetError::Tokenizer { path: "fixtures/tokenizer.json".into(), why })
}
