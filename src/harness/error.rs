use std::io;

use super::gate::Gate;
use crate::{
    baseline::BaselineError,
    client::ServerError,
    config::ConfigError,
    dataset::DatasetError,
    files::FileError,
    load::{FailureBudget, StopReason},
    report::SinkError,
    server::StartError,
    shard::ShardError,
};

/// What ends a run, or one of its benchmarks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Wrong usage.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No prompts.
    #[error(transparent)]
    Dataset(DatasetError),
    /// No server, or not the one that was meant.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server could not be started, or ended on its own.
    #[error(transparent)]
    Start(StartError),
    /// A file of its results.
    #[error(transparent)]
    File(#[from] FileError),
    /// The run that it was to be compared with.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// Nothing to calibrate with.
    #[error("{0}")]
    Calibration(String),
    /// The embedded engine did not start.
    #[error("cannot start the embedded engine: {0}")]
    Engine(io::Error),
    /// The server is a function of this program, and is no more.
    #[error("the server in this process has returned, or panicked")]
    Returned,
    /// A runtime or TLS could not be set up.
    #[error("cannot set up the client: {0}")]
    Setup(String),
    /// The connections of a pass could not be opened.
    #[error("{0}")]
    Connect(String),
    /// Every warm-up request failed: the pass would only fail too.
    #[error("all {requests} warm-up requests failed; the first with {class}: {message}")]
    Warmup {
        /// How many there were.
        requests: usize,
        /// Class of the first failure.
        class: String,
        /// Its message.
        message: String,
    },
    /// A pass without a completed request has no numbers.
    #[error("pass {pass}: all {requests} requests failed: {failures}")]
    AllFailed {
        /// Which pass, from 0.
        pass: usize,
        /// How many requests it had.
        requests: usize,
        /// Each class with its count and one example.
        failures: String,
    },
    /// More requests failed than may.
    #[error(
        "pass {pass} was aborted: {failed} of the {sent} requests sent failed, but at most {budget} of {prompts} may \
         (--max-failures): {failures}"
    )]
    TooManyFailures {
        /// Which pass, from 0.
        pass: usize,
        /// How many failed, those in flight at the end included.
        failed: usize,
        /// How many were sent.
        sent: usize,
        /// How many it should have been, in words.
        prompts: String,
        /// How many may fail.
        budget: FailureBudget,
        /// Each class with its count and one example.
        failures: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// Output tokens could not be counted.
    #[error("cannot count the output tokens: {0}")]
    Count(String),
    /// stdout is closed.
    #[error("cannot write the results: {0}")]
    Output(io::Error),
    /// In test mode, a benchmark that did not do what it should.
    #[error("{0}")]
    Test(String),
    /// Under `--fail-on`: what kept the gate from passing.
    #[error("{0}")]
    Gate(Gate),
    /// Another shard of the run, or shard 0.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A search that could not go on.
    #[error("{0}")]
    Search(String),
    /// Several things are not there, which are told together.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Missing(Vec<RunError>),
    /// Some benchmarks failed; each has had its own message.
    #[error("{failed} of {of} benchmarks failed")]
    Failed {
        /// How many failed.
        failed: usize,
        /// How many were run.
        of: usize,
    },
}

impl RunError {
    /// Several as one.
    pub(super) fn together(mut errors: Vec<Self>) -> Self {
        match errors.pop() {
            Some(only) if errors.is_empty() => only,
            last => Self::Missing(errors.into_iter().chain(last).collect()),
        }
    }

    /// As what it ends a run in which something was complete already.
    pub(super) fn stop_reason(&self) -> StopReason {
        match self {
            Self::Interrupted => StopReason::Interrupted,
            Self::TooManyFailures { .. } | Self::AllFailed { .. } => StopReason::Failures,
            _ => StopReason::Error,
        }
    }
}

impl From<SinkError> for RunError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::File(error) => Self::File(error),
            SinkError::Output(error) => Self::Output(error),
        }
    }
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Stopped { .. } => Self::Interrupted,
            error => Self::Start(error),
        }
    }
}

impl From<DatasetError> for RunError {
    fn from(error: DatasetError) -> Self {
        match error {
            DatasetError::Stopped => Self::Interrupted,
            error => Self::Dataset(error),
        }
    }
}
