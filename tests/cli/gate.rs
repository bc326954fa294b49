//! What `--fail-on` lets pass: the table of docs/ci.md, a pair of runs each.

use std::collections::BTreeMap;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::comparison::{measured, passes, scale};

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("gate/exit_codes_are_those_of_docs_ci", exit_codes)]
}

/// What is done to a run that is otherwise its baseline.
struct Pair {
    name: &'static str,
    base: fn(&mut Value),
    new: fn(&mut Value),
}

fn same(_: &mut Value) {}

fn fail(report: &mut Value, share: f64) {
    for pass in passes(report) {
        let requests = 400.0;
        pass["failed"] = json!((requests * share) as u64);
        pass["completed"] = json!((requests * (1.0 - share)) as u64);
    }
}

fn set(report: &mut Value, key: &str, value: &Value) {
    passes(report).iter_mut().for_each(|pass| pass[key] = value.clone());
}

fn cache(report: &mut Value, sent_before: Option<&str>) {
    // Neither the answers nor the counters say what came from it.
    set(report, "cached_tokens", &Value::Null);
    report["cache"] = json!({"sent_before": sent_before, "caches": true, "probe_factor": 3.0, "repeated": 0});
}

const PAIRS: &[Pair] = &[
    Pair { name: "the same", base: same, new: same },
    Pair { name: "10 % slower", base: same, new: |r| scale(r, &["output_tokens_per_s"], &[0.9]) },
    Pair { name: "10 % faster", base: same, new: |r| scale(r, &["output_tokens_per_s"], &[1.1]) },
    Pair { name: "first tokens 20 % later", base: same, new: |r| scale(r, &["ttft_s", "p50"], &[1.2]) },
    Pair { name: "slower within the threshold", base: same, new: |r| scale(r, &["output_tokens_per_s"], &[0.995]) },
    Pair { name: "too noisy to tell", base: same, new: |r| scale(r, &["output_tokens_per_s"], &[0.8, 1.0, 1.1]) },
    Pair { name: "slower outside the gate", base: same, new: |r| scale(r, &["e2e_s", "p90"], &[1.5]) },
    Pair {
        name: "5 % failed, and 3 times the TTFT",
        base: |r| fail(r, 0.0),
        new: |r| {
            fail(r, 0.05);
            scale(r, &["ttft_s", "p50"], &[3.0]);
        },
    },
    Pair { name: "0.75 % failed of 1,200, none before", base: |r| fail(r, 0.0), new: |r| fail(r, 0.0075) },
    Pair { name: "0.25 % failed of 1,200, none before", base: |r| fail(r, 0.0), new: |r| fail(r, 0.0025) },
    Pair { name: "5 % failed in both", base: |r| fail(r, 0.05), new: |r| fail(r, 0.05) },
    Pair { name: "5 % failed before, none now", base: |r| fail(r, 0.05), new: |r| fail(r, 0.0) },
    Pair { name: "no first token in the run", base: same, new: |r| set(r, "ttft_s", &Value::Null) },
    Pair { name: "no first token in the baseline", base: |r| set(r, "ttft_s", &Value::Null), new: same },
    Pair { name: "a median of 0", base: same, new: |r| scale(r, &["ttft_s", "p50"], &[0.0]) },
    Pair { name: "tokens counted by the client", base: same, new: |r| set(r, "token_source", &json!("client")) },
    Pair {
        name: "another share from the cache",
        base: |r| set(r, "cached_tokens", &json!(0)),
        new: |r| {
            passes(r).iter_mut().for_each(|pass| pass["cached_tokens"] = pass["prompt_tokens"].clone());
            scale(r, &["output_tokens_per_s"], &[4.0]);
        },
    },
    Pair {
        name: "prompts that a cache may know",
        base: |r| cache(r, None),
        new: |r| {
            cache(r, Some("sharegpt/c2"));
            scale(r, &["output_tokens_per_s"], &[0.5]);
        },
    },
    Pair {
        name: "another server, slower",
        base: same,
        new: |r| {
            r["server"]["url"] = "http://10.0.0.1:8000".into();
            scale(r, &["output_tokens_per_s"], &[0.4]);
        },
    },
    Pair {
        name: "another workload, slower",
        base: same,
        new: |r| {
            r["workload"]["digest"] = "sha256:0".into();
            scale(r, &["output_tokens_per_s"], &[0.4]);
        },
    },
    Pair {
        name: "another workload, failing",
        base: |r| fail(r, 0.0),
        new: |r| {
            r["workload"]["digest"] = "sha256:0".into();
            fail(r, 0.05);
        },
    },
    Pair { name: "another model", base: same, new: |r| r["server"]["model"] = "other".into() },
];

const FAIL_ON: [&str; 4] = ["never", "regression", "regression,not-comparable", "regression,inconclusive"];

fn exit_codes() -> Result<(), Failed> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md"))?;
    let rows = docs.lines().skip_while(|line| !line.starts_with("| the run beside its baseline |")).skip(2);
    let documented: BTreeMap<String, Vec<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .map(|cells| (cells[0].clone(), cells[cells.len() - FAIL_ON.len()..].to_vec()))
        .collect();
    let package = measured(&[])?;
    let mut found = BTreeMap::new();
    for pair in PAIRS {
        package.edit("b", "base-of-pair", pair.base);
        package.edit("base-of-pair", "new-of-pair", pair.new);
        let codes = FAIL_ON.map(|fail_on| {
            let flags = ["--bench", "--load-baseline", "new-of-pair", "--baseline", "base-of-pair", "--stream", "true"];
            let outcome = package.run(&[&flags[..], &["--concurrency", "2", "--fail-on", fail_on]].concat(), &[]);
            // What failed is named.
            assert_eq!(outcome.code == 3, outcome.stderr.contains("sharegpt/c2"), "{}: {}", pair.name, outcome.stderr);
            outcome.code.to_string()
        });
        found.insert(pair.name.to_owned(), codes.to_vec());
    }
    if documented != found {
        let rows = PAIRS.iter().map(|pair| format!("| {} | … | {} |\n", pair.name, found[pair.name].join(" | ")));
        return Err(format!("docs/ci.md says something else than this:\n{}", rows.collect::<String>()).into());
    }
    assert!(found.len() >= 20);
    Ok(())
}
