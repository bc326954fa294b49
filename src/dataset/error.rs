use std::{io, path::PathBuf};

/// What can go wrong between a dataset or tokenizer on disk and a list of prompts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The run was stopped while a dataset was read.
    #[error("stopped while reading the dataset")]
    Stopped,
    /// The dataset file could not be opened or read.
    #[error("cannot read the dataset {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The dataset file holds nothing.
    #[error("the dataset {path} is empty: expected a JSON array of ShareGPT conversations")]
    Empty {
        /// The file.
        path: String,
    },
    /// The dataset file is not well-formed JSON.
    #[error("the dataset {path} is not JSON: line {line} column {column}: {message}")]
    NotJson {
        /// The file.
        path: String,
        /// Line of the offending byte, from 1.
        line: u64,
        /// Column of the offending byte in its line, from 1.
        column: u64,
        /// What the parser said.
        message: String,
    },
    /// The dataset file is JSON of another shape.
    #[error(
        "the dataset {path} is not in ShareGPT format: {why}; expected [{{\"conversations\": [{{\"from\": …, \"value\": …}}, …]}}, …]"
    )]
    NotShareGpt {
        /// The file.
        path: String,
        /// What was found instead.
        why: String,
    },
    /// More prompts were asked for than the dataset can give.
    #[error(
        "{wanted} prompts asked for, but only {fit} of the {conversations} conversations in {path} fit \
         (two turns, at least 4 tokens each, prompt at most 1024, both at most 2048): lower --num-prompts to {fit} or less"
    )]
    TooFew {
        /// The file.
        path: String,
        /// How many prompts were asked for.
        wanted: usize,
        /// How many conversations fit the limits.
        fit: usize,
        /// How many conversations the file holds.
        conversations: usize,
    },
    /// A line of a file of prompts is not one.
    #[error("the dataset {path}, line {line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A file of prompts holds none.
    #[error("the dataset {path} holds no prompt: expected a line {{\"prompt\": …}} or {{\"messages\": […]}} each")]
    NoPrompts {
        /// The file.
        path: String,
    },
    /// A trace, or the part of it that is to be sent, holds no request.
    #[error(
        "the trace {path} has no request to send with both lengths above 0: it has {lines} in all; check --trace-window"
    )]
    EmptyTrace {
        /// The file.
        path: String,
        /// How many requests it holds in all.
        lines: u64,
    },
    /// A file of conversations holds none that can be sent.
    #[error(
        "the dataset {path} holds no conversations: {why}; expected [{{\"conversations\": […]}}, …], [{{\"messages\": […]}}, …] or a line \
         {{\"turns\": […]}} each"
    )]
    NoSessions {
        /// The file.
        path: String,
        /// What was found instead.
        why: String,
    },
    /// Conversations go on after a turn whose answer was not recorded.
    #[error("the conversations in {path} have no answers: use --history-from server to send the server's own instead")]
    NoAnswers {
        /// The file.
        path: String,
    },
    /// A prompt does not say how many tokens to ask for, and nothing else does.
    #[error("prompt {number} of {path} has neither `output_tokens` nor `max_tokens`: add one, or give --max-tokens")]
    NoLength {
        /// The file, or the list's name.
        path: String,
        /// Its line, or its position from 1.
        number: usize,
    },
    /// More prompts were asked for than there are.
    #[error("{wanted} prompts asked for, but {path} holds {there}: lower --num-prompts to {there} or less")]
    TooFewPrompts {
        /// The file, or the list's name.
        path: String,
        /// How many prompts were asked for.
        wanted: usize,
        /// How many there are.
        there: usize,
    },
    /// The tokenizer file is not there, or is not a tokenizer.
    #[error("cannot load the tokenizer {path}: {why}")]
    Tokenizer {
        /// The file or folder.
        path: PathBuf,
        /// What was wrong and what was expected.
        why: String,
    },
    /// The tokenizer refused a text.
    #[error("cannot tokenize conversation {index} of {path}: {why}")]
    Tokenize {
        /// The dataset.
        path: String,
        /// Position of the conversation in the file, from 0.
        index: usize,
        /// What the tokenizer said.
        why: String,
    },
    /// No text of an exact token length can be built with this tokenizer.
    #[error("cannot build a synthetic prompt of exactly {tokens} tokens with this tokenizer: {why}")]
    Synthetic {
        /// The length that was asked for.
        tokens: usize,
        /// Why it failed.
        why: String,
    },
    /// The workload dump could not be written.
    #[error("cannot write the workload to {path}: {source}")]
    Dump {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
