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
    text::from_json,
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
            _ => from_json(text),
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
    use crate::{load::LoadPoint, stats::estimates, text::from_json};

    pub fn read(text: &str) -> serde_json::Result<Report> {
        let mut whole: Value = from_json(text)?;
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
                "completed": 100, "failed": 0, "failures": {}, "failure_examples": {}, "prompt_tokens": 1000,
                "output_tokens": 1000, "requested_tokens": 1000, "output_length": latency, "token_source": "usage",
                "cached_tokens": null, "rps": 1.0, "rpm": 1.0, "output_tokens_per_s": 1.0, "total_tokens_per_s": 1.0,
                "ttft_s": latency, "ttfo_s": latency, "tpot_s": latency, "itl_s": latency, "e2e_s": latency,
                "send_lag_s": null, "token_events": 1000, "coalesced_share": 0.0,
                "connections": {"opened": 1, "reopened": 0, "resent": 0, "connect_mean_s": 0.001},
                "client": {"cpu_s": null, "threads": 1, "bound": false}
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
    fn a_report_of_the_first_version_still_reads() {
        let mut value = serde_json::to_value(report(|r| {
            r["load"] = json!({"kind": "open", "request_rate": 20.0, "arrival": "poisson", "burstiness": 1.0, "max_in_flight": null});
        }))
        .unwrap();
        value["schema_version"] = 1.into();
        value["estimates"] = json!({"ttft_p50": {"point": 1.0, "lower": null, "upper": null, "confidence_level": 0.9, "unit": "s", "better": "lower"}});
        for pass in value["passes"].as_array_mut().unwrap() {
            let five = json!({"mean": 5.0, "min": 5.0, "max": 5.0, "p50": 5.0, "p90": 5.0, "p95": 5.0, "p99": 5.0, "count": 100});
            (pass["ttft_intended_s"], pass["e2e_intended_s"]) = (five.clone(), five);
        }
        let read = Report::from_json(&value.to_string()).unwrap();
        let pass = &read.passes[0];
        assert_eq!((pass.ttft_s.unwrap().p50, pass.e2e_s.unwrap().p50, pass.ttfo_s), (5.0, 5.0, None));
        let sent = [pass.ttft_sent_s, pass.ttfo_sent_s, pass.e2e_sent_s].map(|latency| latency.unwrap().p50);
        assert_eq!((sent, pass.itl_s.unwrap().p50, read.schema_version), ([1.0; 3], 1.0, 2));
        let estimate = &read.estimates["ttft_p50"];
        assert_eq!((estimate.point.round(), estimate.confidence_level), (5.0, 0.9));
        // Merged events were gaps of 0.
        value["load"] = json!({"kind": "closed", "concurrency": 1});
        value["estimates"]["itl_p50"] = value["estimates"]["ttft_p50"].clone();
        value["passes"][1]["coalesced_share"] = json!(0.1);
        let read = Report::from_json(&value.to_string()).unwrap();
        assert_eq!(read.passes.iter().map(|pass| pass.itl_s.is_some()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(read.estimates.keys().collect::<Vec<_>>(), ["ttft_p50"]);
        assert_eq!(read.passes[0].ttft_s.unwrap().p50, 1.0);
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
