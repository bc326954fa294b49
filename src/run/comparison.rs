//! A run beside its baseline, as plain data.

use serde::{Deserialize, Serialize};

use super::place::Commit;
use crate::{
    metrics::{ByMetric, Metric},
    stats::Verdict,
};

/// How two runs that are compared were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Design {
    /// One after the other.
    #[default]
    Apart,
    /// In one run, pass by pass in turn: A B, B A, A B.
    Interleaved,
}

/// `comparison` of report.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// What the run is compared with: `last run`, a baseline's name, or a commit.
    pub baseline: String,
    /// At which commit that ran.
    pub baseline_commit: Option<Commit>,
    /// When that started.
    pub baseline_started_at: String,
    /// Whether there can be a verdict.
    pub comparable: bool,
    /// Why not.
    pub why_not: Vec<String>,
    /// What may explain a verdict.
    pub warnings: Vec<String>,
    /// How the two were measured.
    #[serde(default)]
    pub design: Design,
    /// How many processes of the server and of the other one the passes were spread over, where the run started both.
    #[serde(default)]
    pub processes: Option<(usize, usize)>,
    /// Passes that both runs made with the same seed: the unit of replication, unless there were several processes of a server.
    pub pairs: usize,
    /// How many pairs of processes of the servers these passes are spread over: the unit of replication then, so that the intervals
    /// hold the spread between processes, too. `null` where either server was one process, or is not known.
    #[serde(default)]
    pub pairs_of_processes: Option<usize>,
    /// Passes went on until they were enough: intervals and p-values are those of a confidence sequence.
    #[serde(default)]
    pub sequential: bool,
    /// Changes up to this share are none.
    pub noise_threshold: f64,
    /// Chance of any wrong *regressed* or *improved* among all gated metrics of a run; and again among all others.
    pub significance_level: f64,
    /// Level of the intervals.
    pub confidence_level: f64,
    /// How many gated metrics, of all benchmarks of the run, were compared together; each is corrected for the others.
    pub compared_together: usize,
    /// The runs asked different questions (workload, model, API, stream mode, load): there is nothing to compare.
    #[serde(default)]
    pub another_question: bool,
    /// Why every verdict is *inconclusive*, whatever the numbers: the server's cache.
    #[serde(default)]
    pub held_back: Option<String>,
    /// The runs were made apart, and how far identical runs made apart differ here was not calibrated: *regressed*,
    /// *improved* and *no change* rest on the passes alone, which do not show it.
    #[serde(default)]
    pub provisional: bool,
    /// Requests that failed; `null` where the runs asked different questions.
    #[serde(default)]
    pub failures: Option<FailureChange>,
    /// Gated metrics that could not be compared, though the same was asked: the gate fails for them.
    #[serde(default)]
    pub unmeasured: Vec<String>,
    /// Every metric that both runs measured; empty where the runs are not comparable.
    pub metrics: ByMetric<MetricChange>,
}

/// Failed requests of a run and its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureChange {
    /// Of the run.
    pub failed: u64,
    /// That it sent.
    pub requests: u64,
    /// Of the baseline.
    pub baseline_failed: u64,
    /// That the baseline sent.
    pub baseline_requests: u64,
    /// Fisher's exact test, one-sided: the chance of so many more failures if both runs fail alike. The unit is the request.
    pub p_value: f64,
    /// The same, corrected for all benchmarks of the run (Holm).
    pub p_value_corrected: f64,
    /// More requests failed than chance explains.
    pub regressed: bool,
}

impl Comparison {
    /// The gated metrics that regressed, and `failed` where more requests did than chance explains.
    pub fn regressions(&self) -> impl Iterator<Item = String> {
        let failed = self.failures.iter().filter(|failures| failures.regressed).map(|_| "failed".to_owned());
        failed.chain(self.gated(Verdict::Regressed).map(|metric| metric.to_string()))
    }

    /// The gated metrics with that verdict.
    pub fn gated(&self, verdict: Verdict) -> impl Iterator<Item = Metric> {
        let gated = self.metrics.iter().filter(move |(_, change)| change.gated && change.verdict == verdict);
        gated.map(|(metric, _)| *metric)
    }
}

/// The change of one metric. Changes are shares of the baseline: 0.05 is 5 % more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricChange {
    /// The estimate.
    pub change: f64,
    /// Lower end of its interval; `null` for a single pass.
    pub lower: Option<f64>,
    /// Upper end of its interval; `null` for a single pass.
    pub upper: Option<f64>,
    /// Two-sided p-value of the hypothesis that the change lies within the threshold.
    pub p_value: Option<f64>,
    /// The same, corrected for all comparisons made together (Holm).
    pub p_value_corrected: Option<f64>,
    /// p-value of the hypothesis that the change lies beyond the noise threshold.
    pub p_value_no_change: Option<f64>,
    /// What can be said.
    pub verdict: Verdict,
    /// Whether it decides.
    pub gated: bool,
    /// The greatest of the noise threshold, the noise floor, and, for a rate, what the client's own share differs by.
    pub threshold: f64,
    /// How far identical runs lay apart when that was calibrated.
    pub noise_floor: Option<f64>,
    /// For an inconclusive verdict: the change that these passes would have found four times of five.
    pub detectable_change: Option<f64>,
    /// For an inconclusive verdict: how many passes would settle it, if change and noise stay what they are.
    pub passes_needed: Option<usize>,
}
