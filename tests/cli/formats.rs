//! What other programs read: criterion's files, and --output-format.

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::{
    comparison::{BENCHMARK, measured, without},
    package::{Package, engine, fixture, live},
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("formats/output_formats", output_formats),
        Trial::test("formats/criterions_files_hold_no_orphan_and_no_nan", criterion_files),
    ]
}

fn output_formats() -> Result<(), Failed> {
    let package = measured(&[])?;
    // An interval is shown unless it is very wide, as it is of three passes on a busy machine.
    package.edit("a", "b", |report| {
        for estimate in report["estimates"].as_object_mut().unwrap().values_mut() {
            let point = estimate["point"].as_f64().unwrap();
            if estimate["lower"].is_number() {
                (estimate["lower"], estimate["upper"]) = ((0.9 * point).into(), (1.1 * point).into());
            }
        }
    });
    let json = package.compare(&["--output-format", "json"]);
    json.expect(0)?;
    let report: Value = serde_json::from_str(json.stdout.trim())?;
    assert_eq!((&report["id"], &report["comparison"]["baseline"]), (&BENCHMARK.into(), &"a".into()));
    assert!(json.stderr.contains("against a, 20"), "the verdicts go to stderr: {}", json.stderr);
    let seconds = report["estimates"]["ttft_p50"]["point"].as_f64().unwrap();

    let bencher = package.compare(&["--output-format", "bencher"]);
    bencher.expect(0)?;
    let lines: Vec<&str> = bencher.stdout.lines().collect();
    // A median gap can be 0 where tokens came together, and then has no line.
    assert!((20..=25).contains(&lines.len()), "{}", bencher.stdout);
    let line = lines.iter().find(|line| line.starts_with("test sharegpt/c2/ttft_p50 ... bench: ")).unwrap();
    let ns: f64 = line.split_whitespace().nth(4).unwrap().replace(',', "").parse()?;
    assert!((ns - seconds * 1e9).abs() <= 1.0 && line.contains(" ns/iter (+/- "), "{line}");

    let markdown = package.compare(&["--output-format", "markdown"]);
    markdown.expect(0)?;
    assert!(
        markdown.stdout.starts_with("### 2 not changed\n\n| benchmark | metric | verdict |"),
        "{}",
        markdown.stdout
    );
    for expected in [
        "| sharegpt/c2 | ttft_p50 | no change, provisional | +0.00% |",
        "- sharegpt/c2: against a",
        "\n| sharegpt/c2 | [",
    ] {
        assert!(markdown.stdout.contains(expected), "{expected}: {}", markdown.stdout);
    }
    // Rows of a table have as many cells as its head.
    for table in markdown.stdout.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
        assert!(cells.iter().all(|n| *n == cells[0]), "{table}");
    }

    let bmf = package.compare(&["--output-format", "bmf"]);
    bmf.expect(0)?;
    let measures: Value = serde_json::from_str(&bmf.stdout)?;
    let ttft = &measures[BENCHMARK]["ttft_p50"];
    assert!((ttft["value"].as_f64().unwrap() / seconds - 1e9).abs() < 1.0, "{ttft}");
    assert!(ttft["lower_value"].as_f64() < ttft["value"].as_f64(), "{ttft}");

    package.compare(&["--output-format", "github"]).expect(0)?;
    for (name, direction, other) in
        [("github-bigger.json", "rpm", "ttft_p50"), ("github-smaller.json", "ttft_p50", "rpm")]
    {
        let path = package.path("target/tachometer").join(name);
        let entries: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let find =
            |metric: &str| entries.iter().find(|entry| entry["name"] == format!("{BENCHMARK}/{metric}").as_str());
        let entry = find(direction).unwrap();
        assert!(entry["value"].is_number() && entry["unit"].is_string() && entry["range"].is_string(), "{entry}");
        assert!(find(other).is_none(), "{name}");
    }
    Ok(())
}

fn criterion_files() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = [live(&url, &dataset, &tokenizer), vec!["--concurrency", "2"]].concat();
    let folder = package.path("target/criterion/sharegpt_c2");
    package.run(&[&flags[..], &["--stream", "true", "--save-baseline", "kept"]].concat(), &[]).expect(0)?;
    package.run(&[&flags[..], &["--stream", "true"]].concat(), &[]).expect(0)?;
    for slot in ["new", "base", "kept"] {
        for file in ["benchmark.json", "estimates.json", "sample.json", "tukey.json"] {
            let path = folder.join("ttft_p50").join(slot).join(file);
            let value: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
            assert!(!no_number(&value, &["value_str", "throughput", "slope"]), "{}: {value}", path.display());
        }
    }
    let read =
        |path: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(folder.join(path)).unwrap()).unwrap() };
    assert_eq!(read("ttft_p50/new/benchmark.json")["full_id"], "sharegpt/c2/ttft_p50");
    assert_eq!(read("pass/new/benchmark.json")["throughput"], json!({"Elements": 108}));
    assert!(read("ttft_p50/change/estimates.json")["mean"]["point_estimate"].is_number());
    let seconds = package.report(BENCHMARK)["passes"][1]["ttft_s"]["p50"].as_f64().unwrap();
    let times = read("ttft_p50/new/sample.json")["times"][1].as_f64().unwrap();
    assert!((times / seconds - 1e9).abs() < 1.0);

    // One pass without streaming: no spread, and no first tokens.
    let plain = without(&flags, "--sample-size", "2");
    package.run(&[&plain[..], &["--stream", "false", "--sample-size", "1"]].concat(), &[]).expect(0)?;
    assert!(!folder.join("ttft_p50/new").exists(), "an orphan of the run before");
    assert!(folder.join("ttft_p50/base/estimates.json").exists() && folder.join("ttft_p50/kept").exists());
    assert!(!folder.join("pass/change").exists(), "the runs are not comparable");
    assert_eq!(read("pass/new/estimates.json")["std_dev"]["point_estimate"], 0.0);
    assert!(!no_number(&read("pass/new/estimates.json"), &["slope"]));
    Ok(())
}

/// Whether a value is null where criterion has a number.
fn no_number(value: &Value, nullable: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(|value| no_number(value, nullable)),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| !nullable.contains(&key.as_str()) && no_number(value, nullable))
        }
        _ => false,
    }
}
