//! Baselines, verdicts and the gate.
//!
//! What is compared here are edited reports, so that a verdict depends on no clock.

use std::{collections::BTreeMap, path::Path};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::package::{Outcome, Package, engine, fixture, live};

pub const BENCHMARK: &str = "sharegpt/c2";

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("compare/verdicts_exit_codes_and_the_gate", verdicts),
        Trial::test("compare/a_plain_run_compares_with_the_last_one", last_run),
        Trial::test("compare/baselines_are_criterions", baselines),
        Trial::test("compare/a_broken_baseline_is_named_and_nothing_is_written", broken),
        Trial::test("compare/one_pass_gives_no_verdict", one_pass),
        Trial::test("compare/calibration_is_a_floor", calibration),
        Trial::test("compare/the_correction_spans_all_benchmarks", correction),
    ];
    trials.extend(
        NOT_COMPARABLE
            .iter()
            .map(|case| Trial::test(format!("compare/not_comparable/{}", case.name), || not_comparable(case))),
    );
    trials.extend(WARNINGS.iter().map(|case| Trial::test(format!("compare/warning/{}", case.name), || warning(case))));
    trials
}

/// A package with a measured run in the baselines `a` and `b`.
pub fn measured(flags: &[&str]) -> Result<Package, Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = [
        live(&url, &dataset, &tokenizer),
        vec!["--concurrency", "2", "--stream", "true", "--sample-size", "3", "--save-baseline", "a"],
        flags.to_vec(),
    ]
    .concat();
    // `--sample-size` stands in `live` too.
    let flags: Vec<&str> = without(&flags, "--sample-size", "2");
    package.run(&flags, &[]).expect(0)?;
    package.edit("a", "b", |_| {});
    Ok(package)
}

/// Flags without one of them and its value.
pub fn without<'a>(flags: &[&'a str], flag: &str, value: &str) -> Vec<&'a str> {
    let at = flags.windows(2).position(|pair| pair == [flag, value]);
    let skipped = |i: &usize| at.is_some_and(|at| *i == at || *i == at + 1);
    flags.iter().enumerate().filter(|(i, _)| !skipped(i)).map(|(_, flag)| *flag).collect()
}

impl Package {
    fn slot(&self, slot: &str) -> std::path::PathBuf {
        self.path("target/tachometer").join(BENCHMARK).join(slot).join("report.json")
    }

    /// Copies a baseline, with changes.
    pub fn edit(&self, from: &str, to: &str, change: impl FnOnce(&mut Value)) {
        let mut report: Value = serde_json::from_str(&std::fs::read_to_string(self.slot(from)).unwrap()).unwrap();
        change(&mut report);
        std::fs::create_dir_all(self.slot(to).parent().unwrap()).unwrap();
        std::fs::write(self.slot(to), serde_json::to_string_pretty(&report).unwrap()).unwrap();
    }

    /// Compares baseline `b` with `a`; nothing is measured.
    pub fn compare(&self, flags: &[&str]) -> Outcome {
        let compare = ["--bench", "--load-baseline", "b", "--baseline", "a", "--stream", "true", "--concurrency", "2"];
        self.run(&[&compare, flags].concat(), &[])
    }

    /// Every file below the target directory, with what is in it.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        fn walk(folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.path() {
                    path if path.is_dir() => walk(&path, files),
                    path => _ = files.insert(path.display().to_string(), std::fs::read(&path).unwrap()),
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.path("target"), &mut files);
        files.retain(|path, _| !path.ends_with(".lock"));
        files
    }
}

/// The passes of a report.
pub fn passes(report: &mut Value) -> &mut Vec<Value> {
    report["passes"].as_array_mut().unwrap()
}

/// Multiplies a number of each pass.
pub fn scale(report: &mut Value, path: &[&str], factors: &[f64]) {
    for (pass, factor) in passes(report).iter_mut().zip(factors.iter().cycle()) {
        let number = path.iter().fold(pass, |value, key| &mut value[*key]);
        *number = (number.as_f64().unwrap() * factor).into();
    }
}

fn verdicts() -> Result<(), Failed> {
    let package = measured(&[])?;
    let throughput = ["output_tokens_per_s"];
    let ttft = ["ttft_s", "p50"];
    let e2e = ["e2e_s", "p90"];
    let gate = ["--fail-on", "regression"];
    // What changed, by how much in each pass, the flags, the exit code, the verdict line.
    let table: &[(&[&str], [f64; 3], &[&str], i32, &str)] = &[
        (&throughput, [1.0; 3], &gate, 0, "output_tokens_per_s  no change, provisional +0.00%"),
        (&throughput, [0.9, 0.9, 0.9], &gate, 3, "output_tokens_per_s  regressed, provisional -10.0%"),
        (&throughput, [0.9, 0.91, 0.89], &[], 0, "output_tokens_per_s  regressed, provisional -10.0%"),
        (
            &throughput,
            [0.9, 0.9, 0.9],
            &["--fail-on", "never"],
            0,
            "output_tokens_per_s  regressed, provisional -10.0%",
        ),
        (&throughput, [1.1, 1.1, 1.1], &gate, 0, "output_tokens_per_s  improved, provisional +10.0%"),
        (&throughput, [0.8, 1.0, 1.1], &gate, 0, "output_tokens_per_s  inconclusive  -4.17%"),
        // Latencies are better the other way round.
        (&ttft, [1.2, 1.2, 1.2], &gate, 3, "ttft_p50             regressed, provisional +20.0%"),
        (&ttft, [0.8, 0.8, 0.8], &gate, 0, "ttft_p50             improved, provisional -20.0%"),
        // Within a wider threshold it is no change.
        (
            &throughput,
            [0.9, 0.9, 0.9],
            &["--fail-on", "regression", "--noise-threshold", "0.2"],
            0,
            "no change, provisional -10.0%",
        ),
        // What is not in the gate does not decide.
        (&e2e, [1.5, 1.5, 1.5], &gate, 0, "not gated, regressed: e2e +50.0%"),
        (
            &e2e,
            [1.5, 1.5, 1.5],
            &["--fail-on", "regression", "--gate", "e2e_p90"],
            3,
            "e2e_p90              regressed, provisional +50.0%",
        ),
    ];
    for (path, factors, flags, code, line) in table {
        package.edit("a", "b", |report| scale(report, path, factors));
        let before = package.files();
        let outcome = package.compare(flags);
        outcome.expect(*code)?;
        assert!(outcome.stdout.contains(line), "{line:?} is missing in\n{}", outcome.stdout);
        assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{}", outcome.stdout);
        assert_eq!(outcome.stderr.contains("error: regressed: sharegpt/c2"), *code == 3, "{}", outcome.stderr);
        assert_eq!(package.files(), before, "a comparison of two baselines measures and writes nothing");
    }
    // What an inconclusive one leaves open.
    package.edit("a", "b", |report| scale(report, &throughput, &[0.8, 1.0, 1.1]));
    let outcome = package.compare(&[]);
    assert!(outcome.stdout.contains("3 passes can find "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("would settle it"), "{}", outcome.stdout);
    // Where the machine took twice as long for the same work, more passes would not help.
    let probed = |report: &mut Value, probes: [f64; 3]| {
        passes(report).iter_mut().zip(probes).for_each(|(pass, probe)| pass["host"]["probe_s"] = probe.into());
    };
    package.edit("a", "a", |report| probed(report, [1.0e-3, 1.01e-3, 0.99e-3]));
    package.edit("a", "b", |report| {
        probed(report, [2.0e-3, 2.02e-3, 1.98e-3]);
        scale(report, &throughput, &[0.6]);
    });
    let outcome = package.compare(&gate);
    outcome.expect(0)?;
    let printed = unwrapped(&outcome.stdout);
    assert!(printed.contains("output_tokens_per_s inconclusive -40.0%"), "{printed}");
    let expected =
        "it is within what the client's or the machine's own speed differs by, and no number of passes would settle it";
    assert!(printed.contains(expected), "{printed}");
    assert!(!printed.contains("one more pass"), "{printed}");
    Ok(())
}

struct Edited {
    name: &'static str,
    edit: fn(&mut Value),
    expected: &'static str,
}

const NOT_COMPARABLE: &[Edited] = &[
    Edited {
        name: "workload",
        edit: |report| report["workload"]["digest"] = "sha256:0".into(),
        expected: "different workload: different texts (digest sha256:0,",
    },
    Edited {
        name: "api",
        edit: |report| report["workload"]["api"] = "completions".into(),
        expected: "different api: completions, the baseline has chat",
    },
    Edited {
        name: "stream",
        edit: |report| report["workload"]["stream"] = false.into(),
        expected: "different stream mode: false, the baseline has true",
    },
    Edited {
        name: "model",
        edit: |report| report["server"]["model"] = "other".into(),
        expected: "different model: other, the baseline has tachometer-engine",
    },
    Edited {
        name: "load",
        edit: |report| report["load"]["concurrency"] = 3.into(),
        expected: "different load: closed loop with 3 clients, the baseline has closed loop with 2 clients",
    },
    Edited {
        name: "token_source",
        edit: |report| report["passes"][1]["token_source"] = "client".into(),
        expected: "different token source: mixed, the baseline has usage",
    },
    Edited {
        name: "prompts_of_a_later_pass",
        edit: |report| report["passes"][1]["digest"] = "sha256:1".into(),
        expected: "different prompts in the pass with seed 1",
    },
    Edited {
        name: "failures",
        edit: |report| report["passes"][0]["failed"] = 1.into(),
        expected: "2.6 % of the requests of this run failed; at most 1 % may",
    },
];

fn not_comparable(case: &Edited) -> Result<(), Failed> {
    let package = measured(&[])?;
    package.edit("a", "b", |report| {
        // Far worse, and yet no regression: it cannot be told.
        scale(report, &["output_tokens_per_s"], &[0.1]);
        (case.edit)(report);
    });
    let outcome = package.compare(&["--fail-on", "regression"]);
    // What was changed on purpose is no regression; the same question without an answer is no pass.
    let unanswered = ["token_source", "failures"].contains(&case.name);
    outcome.expect(if unanswered { 3 } else { 0 })?;
    assert_eq!(
        outcome.stderr.contains("could not be compared: sharegpt/c2 output_tokens_per_s, sharegpt/c2 ttft_p50"),
        unanswered
    );
    package.compare(&["--fail-on", "regression,not-comparable"]).expect(3)?;
    let printed = unwrapped(&outcome.stdout);
    assert!(printed.contains("not comparable"), "{}", outcome.stdout);
    assert!(printed.contains(case.expected), "{:?} is missing in\n{printed}", case.expected);
    assert!(!printed.contains("regressed"), "{}", outcome.stdout);
    let outcome = package.compare(&["--output-format", "json"]);
    let report: Value = serde_json::from_str(outcome.stdout.trim())?;
    assert_eq!((&report["comparison"]["comparable"], &report["comparison"]["metrics"]), (&false.into(), &json!({})));
    Ok(())
}

const WARNINGS: &[Edited] = &[
    Edited {
        name: "host",
        edit: |report| report["host"]["cores"] = 96.into(),
        expected: "warning: different host: linux with 96 cores of",
    },
    Edited {
        name: "server_version",
        edit: |report| report["server"]["version"] = "9.9".into(),
        expected: "warning: the server's version is 9.9, the baseline's server had 0.1.0",
    },
    Edited {
        name: "output_length",
        edit: |report| scale(report, &["output_length", "mean"], &[0.9]),
        expected: "warning: answers differ in length by -10.0 % at the mean",
    },
    Edited {
        name: "another_server",
        edit: |report| {
            report["server"]["url"] = "http://10.1.2.3:8000".into();
            report["server"]["version"] = "0.1.0".into();
        },
        expected: "warning: different server: http://10.1.2.3:8000, the baseline measured http://127.0.0.1:",
    },
    Edited {
        name: "old_baseline",
        edit: |report| report["started_at"] = "2999-01-01T00:00:00.000Z".into(),
        expected: "days old",
    },
    Edited {
        name: "missing_partner",
        edit: |report| report["passes"][2]["seed"] = 77.into(),
        expected: "warning: 1 pass has no counterpart with the same seed",
    },
];

fn warning(case: &Edited) -> Result<(), Failed> {
    let package = measured(&[])?;
    package.edit("a", "b", case.edit);
    let outcome = package.compare(&[]);
    outcome.expect(0)?;
    let printed = unwrapped(&outcome.stdout);
    assert!(printed.contains(case.expected), "{:?} is missing in\n{printed}", case.expected);
    // It stands beside a verdict, and takes none away.
    assert!(printed.contains("no change"), "{printed}");
    Ok(())
}

/// The block's text, without its line breaks.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn last_run() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = [live(&url, &dataset, &tokenizer), vec!["--concurrency", "2", "--stream", "true"]].concat();
    let first = package.run(&flags, &[]);
    first.expect(0)?;
    assert!(!first.stdout.contains("change:") && !first.stdout.contains("against"), "{}", first.stdout);
    assert_eq!(package.report(BENCHMARK)["comparison"], Value::Null);
    let second = package.run(&flags, &[]);
    second.expect(0)?;
    assert!(second.stdout.contains("change: ["), "{}", second.stdout);
    assert!(second.stdout.contains("against last run, 20"), "{}", second.stdout);
    let comparison = &package.report(BENCHMARK)["comparison"];
    assert_eq!((&comparison["baseline"], &comparison["pairs"]), (&"last run".into(), &2.into()));
    let change = &comparison["metrics"]["output_tokens_per_s"];
    for key in ["change", "lower", "upper", "p_value", "p_value_corrected", "threshold"] {
        assert!(change[key].is_number(), "{key}: {change}");
    }
    assert_eq!(change["gated"], true);
    // Discarded: compared, and no file is touched.
    let before = package.files();
    let discarded = package.run(&[&flags[..], &["--discard-baseline"]].concat(), &[]);
    discarded.expect(0)?;
    assert!(discarded.stdout.contains("against last run"), "{}", discarded.stdout);
    assert_eq!(package.files(), before);
    Ok(())
}

fn baselines() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let measure = |flags: &[&str]| {
        let all = [live(&url, &dataset, &tokenizer), vec!["--concurrency", "2"], flags.to_vec()].concat();
        package.run(&all, &[])
    };
    let missing = measure(&["--baseline", "main"]);
    missing.expect(101)?;
    let message = "error: sharegpt/c2: there is no baseline `main` of sharegpt/c2: make one with --save-baseline main";
    assert!(missing.stderr.contains(message), "{}", missing.stderr);
    assert!(engine.take_truths().is_empty(), "it ended before anything was sent");

    let lenient = measure(&["--baseline-lenient", "main"]);
    lenient.expect(0)?;
    assert!(!lenient.stdout.contains("against"), "{}", lenient.stdout);
    measure(&["--save-baseline", "main"]).expect(0)?;
    let saved = std::fs::read(package.slot("main"))?;
    for flag in ["--baseline", "--baseline-lenient"] {
        let outcome = measure(&[flag, "main"]);
        outcome.expect(0)?;
        assert!(outcome.stdout.contains("against main, 20"), "{}", outcome.stdout);
        assert_eq!(std::fs::read(package.slot("main"))?, saved, "{flag} writes no baseline");
    }
    let outcome = measure(&["--save-baseline", "main"]);
    assert!(outcome.stdout.contains("against main, 20"), "{}", outcome.stdout);
    assert_ne!(std::fs::read(package.slot("main"))?, saved);
    Ok(())
}

fn broken() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let breaks: [(&str, fn(&str) -> String, &str); 4] = [
        ("torn", |text| text[..text.len() / 2].to_owned(), "it is no report"),
        ("empty", |_| String::new(), "it is no report"),
        ("older", |text| text.replace("\"schema_version\": 2", "\"schema_version\": 0"), "its schema_version is 0"),
        ("newer", |text| text.replace("\"schema_version\": 2", "\"schema_version\": 99"), "its schema_version is 99"),
    ];
    for (name, break_it, why) in breaks {
        let package = measured(&[])?;
        for slot in ["a", "new"] {
            let whole = std::fs::read_to_string(package.slot(slot))?;
            std::fs::write(package.slot(slot), break_it(&whole))?;
            let before = package.files();
            engine.take_truths();
            let flags: &[&str] = if slot == "a" { &["--baseline", "a"] } else { &[] };
            let all = [live(&url, &dataset, &tokenizer), vec!["--concurrency", "2"], flags.to_vec()].concat();
            let outcome = package.run(&all, &[]);
            outcome.expect(101)?;
            let path = package.slot(slot).display().to_string();
            assert!(outcome.stderr.contains(&path) && outcome.stderr.contains(why), "{name}: {}", outcome.stderr);
            assert_eq!(package.files(), before, "{name}: a file was written");
            assert!(engine.take_truths().is_empty(), "{name}: it was measured in vain");
            std::fs::write(package.slot(slot), whole)?;
        }
    }
    Ok(())
}

fn one_pass() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = [live(&url, &dataset, &tokenizer), vec!["--concurrency", "4", "--stream", "true"]].concat();
    let flags = without(&without(&flags, "--sample-size", "2"), "--num-prompts", "12");
    let flags = [&flags[..], &["--sample-size", "1", "--num-prompts", "200"]].concat();
    package.run(&flags, &[]).expect(0)?;
    let outcome = package.run(&[&flags[..], &["--fail-on", "regression"]].concat(), &[]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("one pass cannot tell: use --sample-size 5"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("one pass: intervals by batch means, within this run"), "{}", outcome.stdout);
    let report = package.report("sharegpt/c4");
    let estimate = &report["estimates"]["output_tokens_per_s"];
    assert_eq!(estimate["replication"], "batch");
    let number = |key: &str| estimate[key].as_f64().unwrap();
    assert!(number("lower") < number("point") && number("point") < number("upper"), "{estimate}");
    assert_eq!(number("point"), report["passes"][0]["output_tokens_per_s"].as_f64().unwrap());
    // 20 requests a batch are too few for a 99th percentile.
    assert_eq!(report["estimates"]["ttft_p99"]["lower"], Value::Null);
    assert!(report["estimates"]["ttft_p50"]["lower"].is_number());
    Ok(())
}

fn calibration() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = [live(&url, &dataset, &tokenizer), vec!["--concurrency", "2", "--stream", "true"]].concat();
    let outcome = package.run(&[&flags[..], &["--calibrate"]].concat(), &[]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("identical runs may differ by this much here:"), "{}", outcome.stdout);
    let path = package.path("target/tachometer/sharegpt/c2/calibration.json");
    let mut found: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    assert_eq!((&found["pairs"], &found["noise_floors"]["rpm"].is_number()), (&2.into(), &true));
    assert!(!package.slot("new").exists(), "a calibration is no run to compare with");
    assert!(!package.path("target/tachometer/history.jsonl").exists());

    // Another calibration keeps what the first one found, where that was more.
    found["noise_floors"]["e2e_p99"] = 0.77.into();
    std::fs::write(&path, found.to_string())?;
    package.run(&[&flags[..], &["--calibrate"]].concat(), &[]).expect(0)?;
    found = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    assert_eq!((&found["calibrations"], found["noise_floors"]["e2e_p99"].as_f64() >= Some(0.77)), (&2.into(), true));

    // With a floor of 15 %, a change of 10 % can't be told from noise, and is not shown to be none either.
    found["noise_floors"]["output_tokens_per_s"] = 0.15.into();
    std::fs::write(&path, found.to_string())?;
    package.run(&[&flags[..], &["--save-baseline", "a"]].concat(), &[]).expect(0)?;
    package.edit("a", "b", |report| scale(report, &["output_tokens_per_s"], &[0.9]));
    let outcome = package.compare(&["--fail-on", "regression"]);
    outcome.expect(0)?;
    let printed = unwrapped(&outcome.stdout);
    assert!(printed.contains("output_tokens_per_s inconclusive -10.0%"), "{printed}");
    assert!(
        printed.contains("it is within what identical runs differ by, and no number of passes would settle it"),
        "{printed}"
    );
    assert!(printed.contains("by calibration 15.0% for output_tokens_per_s"), "{printed}");
    // With a calibration the verdicts are firm, and p-values worth showing.
    assert!(!printed.contains("provisional") && printed.contains("(p = "), "{printed}");
    package.edit("a", "b", |_| {});
    assert!(unwrapped(&package.compare(&[]).stdout).contains("output_tokens_per_s no change +0.00%"));
    package.edit("a", "b", |report| scale(report, &["output_tokens_per_s"], &[0.8]));
    package.compare(&["--fail-on", "regression"]).expect(3)?;

    // What was found elsewhere holds nothing here.
    found["run"]["host"]["cores"] = 96.into();
    std::fs::write(&path, found.to_string())?;
    package.edit("a", "b", |report| scale(report, &["output_tokens_per_s"], &[0.9]));
    let outcome = package.compare(&["--fail-on", "regression"]);
    outcome.expect(3)?;
    assert!(unwrapped(&outcome.stdout).contains("regressed, provisional -10.0%"), "{}", outcome.stdout);
    assert!(
        unwrapped(&outcome.stdout).contains("does not apply here: it was found on another host"),
        "{}",
        outcome.stdout
    );
    std::fs::write(&path, "{")?;
    let outcome = package.compare(&[]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("calibration.json"), "{}", outcome.stderr);
    Ok(())
}

/// A change that is one by itself is none among many benchmarks.
fn correction() -> Result<(), Failed> {
    let package = measured(&[])?;
    // p is 0.03: below 0.05, and not below a half of it.
    package.edit("a", "b", |report| scale(report, &["output_tokens_per_s"], &[0.97, 0.963, 0.953]));
    let alone = package.compare(&["--gate", "output_tokens_per_s"]);
    assert!(alone.stdout.contains("output_tokens_per_s  regressed"), "{}", alone.stdout);
    for slot in ["a", "b"] {
        let other = package.path("target/tachometer/sharegpt/c9").join(slot).join("report.json");
        std::fs::create_dir_all(other.parent().unwrap())?;
        let text = std::fs::read_to_string(package.slot("a"))?;
        std::fs::write(other, text.replace("sharegpt/c2", "sharegpt/c9"))?;
    }
    let flags = ["--bench", "--load-baseline", "b", "--baseline", "a", "--stream", "true", "--concurrency", "2,9"];
    let together =
        package.run(&[&flags[..], &["--gate", "output_tokens_per_s", "--fail-on", "regression"]].concat(), &[]);
    together.expect(0)?;
    let printed = unwrapped(&together.stdout);
    assert!(printed.contains("a change by itself, but not among 2 comparisons (Holm)"), "{printed}");
    Ok(())
}
