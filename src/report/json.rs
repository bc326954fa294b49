//! report.json: the part that others rely on is described in docs/design.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    baseline::{Commit, Host},
    client::Api,
    compare::Comparison,
    dataset::Policy,
    load::{LoadPoint, StopReason},
    metrics::PassMetrics,
    stats::Estimate,
    text::{may_hide, visible_json},
};

/// Goes up when the meaning of a key changes; an older file still reads.
pub const SCHEMA_VERSION: u32 = 2;
/// The oldest version that still reads.
const OLDEST_SCHEMA_VERSION: u32 = 1;

/// All about one benchmark's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the tool that wrote it.
    pub schema_version: u32,
    /// The benchmark's name, e.g. `sharegpt/c64`.
    pub id: String,
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
    /// Every metric over all passes.
    pub estimates: BTreeMap<String, Estimate>,
    /// What is known of the server's prompt cache; `null` where nothing is.
    #[serde(default)]
    pub cache: Option<Cache>,
    /// Against a baseline; `null` where there was no comparison.
    pub comparison: Option<Comparison>,
    /// Set where the run ended early: it is no baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
}

/// Whether the server's prompt cache may have served what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Requests before the first pass.
    pub warmup: usize,
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
pub struct ServerReport {
    /// Its address.
    pub url: String,
    /// The model that was asked for.
    pub model: String,
    /// Whether it was the embedded engine.
    pub embedded: bool,
    /// What it says of itself.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

/// What the embedded engine is called.
pub const EMBEDDED: &str = "the embedded engine";

impl ServerReport {
    /// What tells servers apart: the address, or that it is the embedded engine, whose port is another each time.
    pub fn identity(&self) -> &str {
        if self.embedded { EMBEDDED } else { &self.url }
    }
}

impl Report {
    /// Whether both ran for the same package, as far as that is known, on the same server.
    pub fn is_of(&self, package: Option<&str>, server: &str) -> bool {
        let same_package = self.package.as_deref().zip(package).is_none_or(|(a, b)| a == b);
        same_package && self.server.identity() == server
    }

    /// Reads a file's text, of this version or an older one.
    ///
    /// # Errors
    /// Where it is not a report, or one of a version that is not known.
    pub fn from_json(text: &str) -> Result<Self, String> {
        // A file may come from anywhere, and what it says is shown. Few have an escape at all.
        if may_hide(text) {
            let mut value: Value = serde_json::from_str(text).map_err(|e| format!("it is no report: {e}"))?;
            visible_json(&mut value);
            return Self::from_visible_json(&value.to_string());
        }
        Self::from_visible_json(text)
    }

    fn from_visible_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        // First alone, so that a newer file is not called broken.
        let Version { schema_version } = serde_json::from_str(text).map_err(|e| format!("it is no report: {e}"))?;
        if !(OLDEST_SCHEMA_VERSION..=SCHEMA_VERSION).contains(&schema_version) {
            let reads = match OLDEST_SCHEMA_VERSION == SCHEMA_VERSION {
                true => SCHEMA_VERSION.to_string(),
                false => format!("{OLDEST_SCHEMA_VERSION} to {SCHEMA_VERSION}"),
            };
            return Err(format!(
                "its schema_version is {schema_version}, and this version of tachometer reads {reads}"
            ));
        }
        let read = match schema_version {
            1 => version_1::read(text),
            _ => serde_json::from_str(text),
        };
        read.map_err(|e| format!("it is no report of schema_version {schema_version}: {e}"))
    }

    /// As it stands in the file.
    ///
    /// # Errors
    /// Where a number is not one that JSON has; none of the metrics is.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Reports of the first version: the latencies of an open loop counted from the actual send, and those from the intended send
/// stood beside them; events that came in one read counted as gaps of 0.
mod version_1 {
    use serde_json::Value;

    use super::{Report, SCHEMA_VERSION};
    use crate::{load::LoadPoint, stats::estimates};

    pub fn read(text: &str) -> serde_json::Result<Report> {
        let mut whole: Value = serde_json::from_str(text)?;
        let is_open = whole["load"]["kind"] == "open";
        for pass in whole["passes"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if is_open {
                for latency in ["ttft", "ttfo", "e2e"] {
                    let intended = pass.remove(&format!("{latency}_intended_s")).unwrap_or(Value::Null);
                    let sent = pass.insert(format!("{latency}_s"), intended).unwrap_or(Value::Null);
                    pass.insert(format!("{latency}_sent_s"), sent);
                }
            }
            if pass.get("coalesced_share").and_then(Value::as_f64).is_some_and(|share| share > 0.0) {
                pass.insert("itl_s".to_owned(), Value::Null);
            }
        }
        let mut report: Report = serde_json::from_value(whole)?;
        report.schema_version = SCHEMA_VERSION;
        let level = report.estimates.values().next().map(|estimate| estimate.confidence_level);
        if let (LoadPoint::Open { .. }, Some(level)) = (&report.load, level) {
            report.estimates = estimates(&report.passes, level);
        } else if report.passes.iter().any(|pass| pass.itl_s.is_none()) {
            report.estimates.retain(|name, _| !name.starts_with("itl_"));
        }
        Ok(report)
    }
}
