//! What a search for the most load that holds came to, as plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::place::Commit;
use crate::{
    load::Searched,
    stats::{Judged, State},
};

/// The most load that holds the objectives: a bracket, `boundary` of report.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Boundary {
    /// Of what.
    pub searched: Searched,
    /// What is to hold.
    pub objectives: Vec<String>,
    /// How far apart the ends were to be, as a share.
    pub precision: f64,
    /// The highest load that holds; `null` where none was found. Requests per second, or clients.
    pub highest_met: Option<f64>,
    /// The lowest load above it that does not.
    pub lowest_missed: Option<f64>,
    /// Loads between the two, of which neither could be said.
    pub undecided: Vec<f64>,
    /// Loads that do not hold below others that do.
    pub not_monotonic: Vec<f64>,
    /// Whether both ends were measured twice, with other prompts, and came out the same.
    pub verified: bool,
    /// What the lowest load that does not hold breaks.
    pub broken: Vec<String>,
    /// What was measured, in order.
    pub points: Vec<BoundaryPoint>,
    /// Against a baseline.
    #[serde(default)]
    pub comparison: Option<BoundaryChange>,
}

/// A load that a search has tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoundaryPoint {
    /// Requests per second, or clients.
    pub load: f64,
    /// Why: `look` (one pass), `decide` or `verify`.
    pub step: String,
    /// Whether all objectives hold.
    pub state: State,
    /// Whole passes.
    pub passes: usize,
    /// What they say of each objective.
    pub objectives: Vec<Judged>,
    /// What else keeps it from holding: requests that pile up, or failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// What has become of a boundary since the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Moved {
    /// More load holds.
    Up,
    /// Less load holds.
    Down,
    /// The same, within the precision.
    Same,
    /// Neither can be said.
    Undecided,
    /// Another question was asked.
    NotComparable,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Up => "moved up",
            Self::Down => "moved down",
            Self::Same => "the same within precision",
            Self::Undecided => "undecided",
            Self::NotComparable => "not comparable",
        })
    }
}

/// A boundary beside the baseline's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BoundaryChange {
    /// What it is compared with.
    pub baseline: String,
    /// At which commit that ran.
    pub baseline_commit: Option<Commit>,
    /// The highest load that held then.
    pub highest_met: Option<f64>,
    /// The lowest load that did not.
    pub lowest_missed: Option<f64>,
    /// What became of it.
    pub verdict: Moved,
    /// Why it is not comparable.
    pub why_not: Vec<String>,
}
