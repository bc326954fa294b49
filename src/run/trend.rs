//! A number over the runs of a benchmark, as plain data.

use super::place::Commit;
use crate::{metrics::Metric, stats::LevelChange};

/// A number of a benchmark, run by run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trend {
    /// E.g. `sharegpt/c64`.
    pub benchmark: String,
    /// Which; `None` for the most load that held in searches.
    pub metric: Option<Metric>,
    /// Runs that can be set beside one another, by the time of their last run: the newest last.
    pub series: Vec<TrendSeries>,
}

/// Runs of the same question on the same host, server and version.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TrendSeries {
    /// What tells it from the newest series; empty for that one.
    pub apart_by: Vec<String>,
    /// In order of time.
    pub points: Vec<TrendPoint>,
    /// Where the level changes: places in `points`.
    pub changes: Vec<LevelChange>,
}

/// What a run measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrendPoint {
    /// When the run started, RFC 3339.
    pub started_at: String,
    /// At which commit.
    pub commit: Option<Commit>,
    /// The estimate; of a search, the highest load that held.
    pub value: f64,
    /// Ends of its confidence interval; of a search, that load and the lowest one above it that did not hold.
    pub ends: Option<(f64, f64)>,
}
