//! A run and what was found of it, as plain data: what `baseline` keeps, `compare` sets side by side and `report` shows. The part
//! of report.json that others rely on is described in docs/design.md.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    client::Api,
    dataset::{HistoryFrom, Policy},
    load::{LoadPoint, Searched, StopReason},
    metrics::{ByMetric, Metric, PassMetrics},
    stats::{Estimate, Judged, State, Stopping, Verdict},
};

/// Of report.json: goes up when the meaning of a key changes; an older file still reads.
pub const SCHEMA_VERSION: u32 = 2;

/// All about one benchmark's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the tool that wrote it.
    pub schema_version: u32,
    /// The benchmark's name, e.g. `sharegpt/c64`.
    pub id: String,
    /// The same for all benchmarks of one run, and another for each run; empty in older files.
    #[serde(default)]
    pub run_id: String,
    /// Version of tachometer.
    pub tachometer_version: String,
    /// The package whose bench target ran it.
    #[serde(default)]
    pub package: Option<String>,
    /// What was sent.
    pub workload: WorkloadReport,
    /// How it was sent.
    pub load: LoadPoint,
    /// What was measured.
    pub server: ServerReport,
    /// At which commit; `null` outside a repository.
    pub commit: Option<Commit>,
    /// On which machine the client ran.
    pub host: Host,
    /// When the first pass started, RFC 3339.
    pub started_at: String,
    /// The numbers of each pass.
    pub passes: Vec<PassMetrics>,
    /// The change that was to be resolved, as a share, where passes went on until it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<f64>,
    /// Level of the intervals of the estimates.
    #[serde(default = "usual_confidence_level")]
    pub confidence_level: f64,
    /// Every metric over all passes.
    pub estimates: ByMetric<Estimate>,
    /// What the passes say of each objective; empty where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Judged>,
    /// What is known of the server's prompt cache; `null` where nothing is.
    #[serde(default)]
    pub cache: Option<Cache>,
    /// Against a baseline; `null` where there was no comparison.
    pub comparison: Option<Comparison>,
    /// Of a search: what load holds the objectives. The passes are those of the highest one that does, or else of the lowest one that was
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Boundary>,
    /// The sweep that this is a load of, e.g. `sharegpt/sweep-rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_of: Option<String>,
    /// Set where the run ended early: it is no baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
}

/// Of files that do not say it.
fn usual_confidence_level() -> f64 {
    0.95
}

/// Whether the server's prompt cache may have served what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cache {
    /// Where prompts of this run went to this server before: an earlier run, or another load point of this one.
    pub sent_before: Option<String>,
    /// Whether the server caches prompts, as a long prompt sent twice showed; `null` where that was not tried.
    pub caches: Option<bool>,
    /// How much longer the server took for a prompt that it had not seen than for one that it had, as a factor.
    pub probe_factor: Option<f64>,
    /// Prompts of this run that it had sent before itself.
    pub repeated: usize,
}

impl Cache {
    /// Whether prompts of the run may have been in the server's cache: where that could not be found out, they may.
    pub fn may_have_served(&self) -> bool {
        self.sent_before.is_some() && self.caches != Some(false)
    }
}

/// A run that ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Partial {
    /// Why it ended.
    pub why: StopReason,
    /// How many passes it should have had.
    pub passes_wanted: usize,
    /// Whether the last of those it has was cut short; no estimate rests on that one, unless it is the only one.
    pub last_pass_cut: bool,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkloadReport {
    /// E.g. `sharegpt`.
    pub name: String,
    /// Of the first pass's prompts and of the sampling parameters.
    pub digest: String,
    /// Path, or description of the synthetic one.
    pub dataset: String,
    /// How prompts were drawn.
    pub sampler: Policy,
    /// Of the first pass.
    pub seed: u64,
    /// Of a pass.
    pub num_prompts: usize,
    /// Seconds for which a pass sent them, again and again, where it did not send each once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// The package that counted the tokens of the dataset's texts, where it has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_counted_by: Option<String>,
    /// The protocol.
    pub api: Api,
    /// Whether tokens were streamed.
    pub stream: bool,
    /// Whether the server was asked to go on to the full length.
    pub ignore_eos: bool,
    /// Sampling temperature.
    pub temperature: f64,
    /// Nucleus sampling threshold.
    pub top_p: f64,
    /// A fixed number of tokens that was asked for, in place of the dataset's answer lengths.
    pub max_tokens: Option<u32>,
    /// Whose answers stood before the later turns of conversations, where there were such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_from: Option<HistoryFrom>,
    /// Seconds from an answer to the next turn, where they were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think_time: Option<String>,
    /// The part of a trace that was sent, in seconds from its first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_window: Option<String>,
    /// Inputs of a request, where there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// The field that asked for them, where there is a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_field: Option<String>,
    /// Whether streams were asked to end with token counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// The fields that were merged into every body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_body: Option<Map<String, Value>>,
    /// Requests before the first pass; 0 where they were sent for a time.
    pub warmup: usize,
    /// Seconds for which they were sent, in place of their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_s: Option<f64>,
    /// Limits within which a request was good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodput: Option<String>,
    /// Whether its load point has prompts of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fresh_prompts: bool,
    /// What drew the words before each prompt that keep it out of the server's cache, where there are such: another number in
    /// every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce_seed: Option<u64>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerReport {
    /// Its address.
    pub url: String,
    /// The model that was asked for.
    pub model: String,
    /// Whether it was the embedded engine.
    pub embedded: bool,
    /// What it is called, where the run started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The commit that it was built from, where that was another than the one that is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many processes of it the passes were spread over, where the run started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// What it says of itself.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

/// What the embedded engine is called.
pub const EMBEDDED: &str = "the embedded engine";

impl ServerReport {
    /// What tells servers apart: the address; the name, or that it is the embedded engine, where the port is another each time.
    pub fn identity(&self) -> &str {
        match &self.name {
            _ if self.embedded => EMBEDDED,
            Some(name) => name,
            None => &self.url,
        }
    }
}

impl Report {
    /// The estimate of a metric by its name, where it has one.
    pub fn estimate(&self, name: &str) -> Option<&Estimate> {
        self.estimates.get(&name.parse().ok()?)
    }

    /// How the number of its passes came about.
    pub fn stopping(&self) -> Stopping {
        match self.boundary {
            // A search looks at each load until it is decided.
            Some(_) => Stopping::Sequential,
            None => Stopping::of(self.resolve),
        }
    }

    /// Whether both ran for the same package, as far as that is known, on the same server.
    pub fn is_of(&self, package: Option<&str>, server: &str) -> bool {
        let same_package = self.package.as_deref().zip(package).is_none_or(|(a, b)| a == b);
        same_package && self.server.identity() == server
    }
}

/// The commit that a run was made at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Commit {
    /// Its full hash.
    pub sha: String,
    /// Whether tracked files differed from it.
    pub dirty: bool,
    /// The branch, where HEAD is on one.
    pub branch: Option<String>,
}

/// The machine that the client ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Host {
    /// E.g. `linux`.
    pub os: String,
    /// E.g. `x86_64`.
    pub arch: String,
    /// The processor's name, where the system tells it.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let cpu = self.cpu.as_deref().unwrap_or(&self.arch);
        write!(f, "{} with {} cores of {cpu}", self.os, self.cores)
    }
}

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

#[cfg(test)]
pub(crate) mod samples {
    use serde_json::{Value, json};

    use super::Report;

    /// A report of three passes on a live server: all metrics 1, but for what `edit` makes of it.
    pub fn report(edit: impl FnOnce(&mut Value)) -> Report {
        let latency =
            json!({"mean": 1.0, "min": 1.0, "max": 1.0, "p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": 1.0, "count": 100});
        let pass = |seed: u64| {
            json!({
                "seed": seed, "digest": format!("sha256:{seed}"), "started_at": "2026-01-01T00:00:00Z", "duration_s": 1.0,
                "completed": 100, "failed": 0, "good": 100, "failures": {}, "failure_examples": {}, "prompt_tokens": 1000,
                "output_tokens": 1000, "requested_tokens": 1000, "output_length": latency, "token_source": "usage",
                "cached_tokens": null, "rps": 1.0, "rpm": 1.0, "output_tokens_per_s": 1.0, "total_tokens_per_s": 1.0,
                "ttft_s": latency, "ttfo_s": latency, "tpot_s": latency, "itl_s": latency, "e2e_s": latency,
                "send_lag_s": null, "token_events": 1000, "coalesced_share": 0.0,
                "connections": {"opened": 1, "reopened": 0, "resent": 0, "connect_mean_s": 0.001},
                "client": {"cpu_s": null, "threads": 1, "share": 0.001}, "server": {"cpu_s": 1000.0}
            })
        };
        let mut value = json!({
            "schema_version": 2, "id": "a/c1", "tachometer_version": "0.1.0", "package": "p",
            "workload": {"name": "a", "digest": "sha256:d", "dataset": "d.json", "sampler": "filter-then-sample", "seed": 0,
                "num_prompts": 100, "api": "chat", "stream": true, "ignore_eos": true, "temperature": 1.0, "top_p": 1.0,
                "max_tokens": null, "warmup": 0},
            "load": {"kind": "closed", "concurrency": 1},
            "server": {"url": "http://h:1", "model": "m", "embedded": false, "version": "1"},
            "commit": {"sha": "0123456789abcdef", "dirty": false, "branch": "main"},
            "host": {"os": "linux", "arch": "x86_64", "cpu": "x", "cores": 2},
            "started_at": "2026-01-01T00:00:00Z", "passes": [pass(0), pass(1), pass(2)], "estimates": {}, "comparison": null
        });
        edit(&mut value);
        serde_json::from_value(value).unwrap()
    }

    /// Multiplies a number of each pass by these factors.
    pub fn scale(report: &mut Value, path: &[&str], factors: [f64; 3]) {
        for (pass, factor) in report["passes"].as_array_mut().unwrap().iter_mut().zip(factors) {
            let number = path.iter().fold(pass, |value, key| &mut value[*key]);
            *number = (number.as_f64().unwrap() * factor).into();
        }
    }

    /// Sets a value of each pass.
    pub fn set(report: &mut Value, key: &str, to: Value) {
        report["passes"].as_array_mut().unwrap().iter_mut().for_each(|pass| pass[key] = to.clone());
    }

    #[test]
    fn runs_are_of_a_package_and_a_server() {
        let live = report(|_| ());
        let embedded = report(|r| r["server"]["embedded"] = true.into());
        let of_nobody = report(|r| r["package"] = Value::Null);
        for (report, package, server, expected) in [
            (&live, Some("p"), "http://h:1", true),
            (&live, None, "http://h:1", true),
            (&live, Some("q"), "http://h:1", false),
            (&live, Some("p"), "http://h:2", false),
            (&of_nobody, Some("q"), "http://h:1", true),
            (&embedded, Some("p"), super::EMBEDDED, true),
            (&embedded, Some("p"), "http://h:1", false),
        ] {
            assert_eq!(report.is_of(package, server), expected, "{package:?} {server}");
        }
    }
}
