//! What takes the results of a run somewhere, and what it is built from.

use std::{fmt, io, path::PathBuf};

use super::output::Output;
use crate::{
    client::Record,
    files::FileError,
    metrics::GaugeReading,
    run::{Report, Trend},
};

/// One kind of output: a file a format, or what stands on stdout. Each is built once for a run (`sinks.rs` has the table), and
/// hears of what there is as soon as it is there.
pub trait Sink {
    /// A pass has ended.
    ///
    /// # Errors
    /// Where it can't be written; the run goes on.
    fn pass(&mut self, _pass: &PassSent) -> Result<(), SinkError> {
        Ok(())
    }

    /// A benchmark has been measured whole. Its comparison is not corrected for those of other benchmarks yet.
    ///
    /// # Errors
    /// Where it can't be written; the run goes on.
    fn benchmark(&mut self, _measured: &Measured) -> Result<(), SinkError> {
        Ok(())
    }

    /// A benchmark has been measured on two servers in turn: this is the other one's side. It comes before [`Sink::benchmark`].
    ///
    /// # Errors
    /// Where it can't be written; the run goes on.
    fn beside(&mut self, _report: &Report) -> Result<(), SinkError> {
        Ok(())
    }

    /// A benchmark has ended early: this is what there is of it.
    ///
    /// # Errors
    /// Where it can't be written; the run goes on.
    fn partial(&mut self, _report: &Report) -> Result<(), SinkError> {
        Ok(())
    }

    /// All benchmarks are done and kept: these are all runs so far. It comes before [`Sink::end`].
    ///
    /// # Errors
    /// Where it can't be written.
    fn history(&mut self, _history: &AllRuns) -> Result<(), SinkError> {
        Ok(())
    }

    /// All benchmarks are done: these are the whole ones, with the verdicts that they led to together.
    ///
    /// # Errors
    /// Where it can't be written.
    fn end(&mut self, _reports: &[Report]) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The requests of one pass.
#[cfg_attr(not(feature = "html"), expect(dead_code, reason = "pages alone read all of it"))]
#[derive(Clone, Copy)]
pub struct PassSent<'a> {
    /// E.g. `sharegpt/c64`.
    pub benchmark: &'a str,
    /// The server's name, where the run started it.
    pub server: Option<&'a str>,
    /// What tells the server from another one, as [`crate::run::ServerReport::identity`] does.
    pub identity: &'a str,
    /// From 0.
    pub number: usize,
    /// What all request ids of the pass begin with.
    pub request_id_prefix: &'a str,
    /// In the order of the prompts.
    pub records: &'a [Record],
    /// What the server's own gauges stood at during the pass; empty where it does not say.
    pub gauges: &'a [GaugeReading],
}

/// A benchmark that was measured whole, and what was there before.
#[derive(Clone, Copy)]
pub struct Measured<'a> {
    /// What was measured now.
    pub report: &'a Report,
    /// What it was compared with.
    pub baseline: Option<&'a Report>,
    /// The last run of the same name.
    pub last_run: Option<&'a Report>,
}

/// All runs so far, and how their numbers went.
#[cfg_attr(not(feature = "html"), expect(dead_code, reason = "pages alone read all of it"))]
#[derive(Clone, Copy)]
pub struct AllRuns<'a> {
    /// In order of time.
    pub runs: &'a [Report],
    /// Of each benchmark, those of one next to one another.
    pub trends: &'a [Trend],
}

/// What sinks are built from: what a plan says of them.
#[cfg_attr(not(feature = "html"), expect(dead_code, reason = "pages alone read all of it"))]
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Of stdout and stderr.
    pub output: Output,
    /// Where files go that have no place of their own.
    pub folder: PathBuf,
    /// The CSV, where there is to be one.
    pub csv: Option<PathBuf>,
    /// Its columns.
    pub csv_format: CsvFormat,
    /// The lines of requests, where there are to be any.
    pub requests: Option<PathBuf>,
    /// The folder of the pages for people, where there are to be any.
    pub pages: Option<PathBuf>,
    /// Criterion's files, where there are to be any.
    pub criterion: Option<CriterionFiles>,
}

/// Where criterion's files go.
#[derive(Clone, Debug)]
pub struct CriterionFiles {
    /// The folder of all of them.
    pub root: PathBuf,
    /// The slots that a run is written to.
    pub slots: Vec<String>,
    /// The slot that the run before moves to.
    pub last_run: String,
    /// Of the bootstrap.
    pub resamples: usize,
}

/// Which columns the CSV has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CsvFormat {
    /// All that this tool measures.
    #[default]
    Tachometer,
    /// Header and row of LMDeploy's `profile_restful_api.py` of 2023.
    Lmdeploy,
}

impl fmt::Display for CsvFormat {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Tachometer => "tachometer",
            Self::Lmdeploy => "lmdeploy",
        })
    }
}

/// Results that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// stdout is closed.
    #[error("cannot write the results: {0}")]
    Output(#[from] io::Error),
}
