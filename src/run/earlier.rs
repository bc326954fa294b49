//! Earlier runs that a run is judged by, as plain data.

use serde::{Deserialize, Serialize};

use super::{comparison::Design, report::Report};
use crate::metrics::ByMetric;

/// An earlier run to compare with.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// `last run`, the baseline's name, or `commit:HEAD~1 (0123abcd)`.
    pub name: String,
    /// What it measured.
    pub report: Report,
    /// What must be known of the choice.
    pub note: Option<String>,
    /// How it was measured.
    pub design: Design,
}

/// Of calibration.json: goes up when the meaning of a key changes.
pub const CALIBRATION_SCHEMA_VERSION: u32 = 1;

/// What `--calibrate` found, as it stands in calibration.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Version of this file's form.
    pub schema_version: u32,
    /// For each metric the farthest that two identical runs may lie apart, as a share: the far end of the confidence interval
    /// of their difference, and the greatest of all calibrations.
    pub noise_floors: ByMetric<f64>,
    /// How many there were.
    pub calibrations: usize,
    /// Level of those intervals.
    pub confidence_level: f64,
    /// Pairs of passes.
    pub pairs: usize,
    /// Seeds of the prompts that all of them have sent.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The second of the two runs: on which host, server and workload it was found.
    pub run: Report,
}
