//! Reports for tests.

use serde_json::{Value, json};

use super::report::Report;

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

/// What such a report may have been compared with: three passes of the baseline `b`, without any metric's change.
pub fn comparison(unmeasured: &[&str]) -> Value {
    json!({
        "baseline": "b", "baseline_commit": null, "baseline_started_at": "", "comparable": true, "why_not": [],
        "warnings": [], "pairs": 3, "noise_threshold": 0.01, "significance_level": 0.05, "confidence_level": 0.95,
        "compared_together": 1, "held_back": null, "unmeasured": unmeasured, "metrics": {}
    })
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
