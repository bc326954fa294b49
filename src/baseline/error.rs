use super::HistoryError;
use crate::files::FileError;

/// A baseline that can't be used. Nothing has been measured or written then.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is none of that name.
    #[error("there is no baseline `{name}` of {benchmark}: make one with --save-baseline {name}")]
    Missing {
        /// The name.
        name: String,
        /// The benchmark.
        benchmark: String,
    },
    /// Its file is not what this version writes, or what it reads of older ones.
    #[error("cannot use the baseline {path}: {why}; move or delete it, and measure it anew")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No run of that commit, nor of any before it.
    #[error("commit:{revision}: {why}")]
    Commit {
        /// What was asked for.
        revision: String,
        /// What is wrong.
        why: String,
    },
    /// The system did not let it be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The history can't be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}
