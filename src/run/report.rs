//! What a run measured, as plain data: report.json.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    boundary::Boundary,
    comparison::Comparison,
    place::{Commit, Host},
};
use crate::{
    client::Api,
    dataset::{HistoryFrom, Policy},
    load::{LoadPoint, StopReason},
    metrics::{ByMetric, PassMetrics},
    stats::{Estimate, Judged, Stopping},
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
    /// The command that ran it, without the values of headers; empty in older files.
    #[serde(default)]
    pub command: String,
    /// How many shards sent the load together; absent where it was one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<usize>,
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
    /// How many GPUs it has, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<usize>,
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
    /// Failed requests of all passes by their class: how many, and what one of them met.
    pub fn failures(&self) -> BTreeMap<&str, (usize, &str)> {
        let mut classes: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for pass in &self.passes {
            for (class, n) in &pass.failures {
                let example = pass.failure_examples.get(class).map_or("", String::as_str);
                classes.entry(class).or_insert((0, example)).0 += n;
            }
        }
        classes
    }

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
