//! Passes of a time in place of a number of prompts, and sweeps over loads.

use libtest_mimic::{Failed, Trial};
use serde_json::json;

use crate::package::{Outcome, Package, engine, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("duration/passes_go_on_for_a_time", duration),
        Trial::test("duration/a_warm_up_may_be_a_time", warm_up),
        Trial::test("duration/what_does_not_go_with_it_is_refused", refused),
        Trial::test("sweeps/each_load_is_a_benchmark", clients),
        Trial::test("sweeps/rates_are_found_between_one_client_and_many", rates),
        Trial::test("sweeps/a_sweep_is_one_line_of_the_list", list),
    ]
}

fn measure(package: &Package, url: &str, flags: &[&str]) -> Outcome {
    let (dataset, tokenizer) = (fixture("sharegpt.json"), fixture("tokenizer.json"));
    let common = ["--bench", "--server", url, "--dataset", &dataset, "--tokenizer", &tokenizer, "--max-tokens", "9"];
    package.run(&[&common[..], &["--stream", "true", "--sample-size", "2"], flags].concat(), &[])
}

fn duration() -> Result<(), Failed> {
    let engine = engine();
    let (package, url) = (Package::new(""), engine.url());
    let flags = ["--concurrency", "2", "--num-prompts", "3", "--warmup", "0"];
    let timed = measure(&package, &url, &[&flags[..], &["--duration", "2s"]].concat());
    timed.expect(0)?;
    let report = package.report("sharegpt/c2");
    assert_eq!((&report["workload"]["duration_s"], &report["workload"]["num_prompts"]), (&json!(2.0), &json!(3)));
    let completed: Vec<u64> =
        report["passes"].as_array().unwrap().iter().map(|pass| pass["completed"].as_u64().unwrap()).collect();
    assert!(completed.len() == 2 && completed.iter().all(|completed| *completed > 3), "{completed:?}");
    assert_eq!(engine.take_truths().len() as u64, completed.iter().sum::<u64>());
    let repeated = report["cache"]["repeated"].as_u64().unwrap();
    assert!(repeated >= completed.iter().sum::<u64>() - 6, "{repeated} of {completed:?}");
    for expected in ["2 passes of 2 s: ", "a pass sent its 3 prompts "] {
        assert!(timed.stdout.contains(expected), "{expected}: {}", timed.stdout);
    }
    let csv = std::fs::read_to_string(package.path("target/tachometer/profile_api_server.csv")).unwrap();
    let row: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(row[4], completed[0].to_string());
    // The same prompts, each once, are another question.
    let once = measure(&package, &url, &flags);
    once.expect(0)?;
    assert!(once.stdout.contains("different workload: duration_s none, was 2.0"), "{}", once.stdout);
    // Of an open loop the number of requests is known.
    let flags = ["--request-rate", "40", "--num-prompts", "3", "--warmup", "0", "--duration", "500ms"];
    measure(&package, &url, &flags).expect(0)?;
    let report = package.report("sharegpt/r40");
    assert!(report["passes"].as_array().unwrap().iter().all(|pass| pass["completed"] == 20), "{report}");
    Ok(())
}

fn warm_up() -> Result<(), Failed> {
    let engine = engine();
    let package = Package::new("warmup = \"2s\"\n");
    let outcome = measure(&package, &engine.url(), &["--concurrency", "2", "--num-prompts", "4"]);
    outcome.expect(0)?;
    assert!(outcome.stderr.contains("warming up with requests for 2s"), "{}", outcome.stderr);
    let report = package.report("sharegpt/c2");
    assert_eq!((&report["workload"]["warmup_s"], &report["workload"]["warmup"]), (&json!(2.0), &json!(0)));
    assert!(engine.take_truths().len() > 2 * 4, "nothing was sent before the first pass");
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let engine = engine();
    let (package, url) = (Package::new(""), engine.url());
    for (flags, expected) in [
        (&["--duration", "60"][..], "time unit needed"),
        (&["--duration", "0s"], "--duration: 0 is not a number of seconds above 0"),
        (&["--duration", "31d"], "are more than 30 days"),
        (
            &["--duration", "1s", "--cache-bust"],
            "--duration: prompts repeat, and --cache-bust draws its text once per prompt",
        ),
        (&["--duration", "1s", "--request-rate", "inf"], "--request-rate: all requests at once take no time"),
        (&["--duration", "30d", "--request-rate", "1000"], "a pass would send 2592000000 requests"),
        (&["--warmup", "soon"], "`soon` is neither a number of requests nor a time such as 10s"),
        (&["--concurrency", "sweep:9"], ""),
        (&["--concurrency", "sweep:1"], "`sweep:1`: a sweep has 2 to 100 loads"),
        (
            &["--concurrency", "sweep:0.5..9"],
            "--concurrency: `sweep:0.5..9`: the clients of a sweep are from 1 to 65536",
        ),
        (&["--request-rate", "sweep:8..2"], "the last one above the first"),
        (&["--concurrency", "2,sweep:1..8"], "--concurrency: it has both loads and a sweep"),
        (&["--request-rate", "inf,sweep:1..8"], "--request-rate: it has both loads and a sweep"),
        (&["--request-rate", "sweep:1e-9..8"], "the last prompt would be sent after more than 30 days"),
        (&["--request-rate", "sweep:1..1e9", "--duration", "60s"], "a pass would send 60000000000 requests"),
        (
            &["--concurrency", "sweep:70..90", "--num-prompts", "64"],
            "it starts with more clients than a pass has prompts (64)",
        ),
        (&["--concurrency", "sweep:1..4,sweep:1..8"], "sharegpt/sweep-concurrency is given twice"),
        (
            &["--request-rate", "sweep:4", "--load-baseline", "new", "--baseline", "base"],
            "--load-baseline: this sweep finds its loads by measuring",
        ),
        (&["--concurrency", "sweep:1..4", "--dump-workload", "w"], "a sweep sends other prompts at each load"),
    ] {
        // A sweep that is none of these wrongs is listed, and nothing is measured.
        let list: &[&str] = if expected.is_empty() { &["--list"] } else { &[] };
        let outcome = measure(&package, &url, &[flags, list].concat());
        assert!(outcome.stderr.contains(expected), "{flags:?}: {}", outcome.stderr);
        assert!(expected.is_empty() || outcome.stdout.is_empty(), "{flags:?}: {}", outcome.stdout);
    }
    assert!(engine.take_truths().is_empty());
    let outcome = Package::new("seed = 1\nconcurrency = \"sweep:9..1\"\n").run(&["--bench"], &[]);
    outcome.expect(2)?;
    assert!(outcome.stderr.contains("line 2: concurrency: `sweep:9..1`: the first load"), "{}", outcome.stderr);
    Ok(())
}

fn clients() -> Result<(), Failed> {
    let engine = engine();
    let (package, url) = (Package::new(""), engine.url());
    let flags = ["--concurrency", "sweep:1..64", "--num-prompts", "4", "--objective", "ttft_p50 < 1000 min"];
    let outcome = measure(&package, &url, &flags);
    outcome.expect(0)?;
    // How many more there are hangs on how the machine is doing.
    for (id, clients) in [("sharegpt/c1", 1), ("sharegpt/c2", 2)] {
        let report = package.report(id);
        assert_eq!(report["load"], json!({"kind": "closed", "concurrency": clients}));
        assert_eq!(
            (&report["point_of"], &report["workload"]["fresh_prompts"]),
            (&json!("sharegpt/sweep-concurrency"), &json!(true))
        );
    }
    for expected in ["sharegpt/sweep-concurrency\n  load          tokens/s         rpm", "\n  c1  ", "\n  c2  "] {
        assert!(outcome.stdout.contains(expected), "{expected}: {}", outcome.stdout);
    }
    let said = "sharegpt/sweep-concurrency stops at 4 clients, as many as a pass has prompts";
    assert!(
        outcome.stderr.contains(said) && !package.path("target/tachometer/sharegpt/c8").exists(),
        "{}",
        outcome.stderr
    );
    // Each load has verdicts of its own, and the table is in the markdown, too.
    let again = measure(&package, &url, &[&flags[..], &["--output-format", "markdown"]].concat());
    again.expect(0)?;
    assert!(package.report("sharegpt/c1")["comparison"]["comparable"] == true);
    assert!(again.stdout.contains("| sharegpt/sweep-concurrency | c1 to c"), "{}", again.stdout);
    Ok(())
}

fn rates() -> Result<(), Failed> {
    let engine = engine();
    let package = Package::new("");
    let outcome = measure(&package, &engine.url(), &["--request-rate", "sweep:3", "--num-prompts", "12"]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("sharegpt/sweep-rate\n  load  "), "{}", outcome.stdout);
    let said = outcome.stderr.lines().find_map(|line| line.strip_prefix("Sweeping sharegpt/sweep-rate: r"));
    let first = said.and_then(|loads| loads.split(", ").next()).ok_or("no loads were told")?;
    let report = package.report(&format!("sharegpt/r{first}"));
    assert_eq!((&report["load"]["kind"], &report["point_of"]), (&json!("open"), &json!("sharegpt/sweep-rate")));
    Ok(())
}

fn list() -> Result<(), Failed> {
    let package = Package::new("concurrency = \"sweep:1..8\"\nrequest_rate = \"sweep:2..16:4\"\n");
    let outcome = package.run(&["--bench", "--list", "--format", "terse"], &[]);
    outcome.expect(0)?;
    let names = ["sharegpt/sweep-concurrency", "sharegpt/sweep-rate"];
    assert_eq!(outcome.stdout, names.map(|name| format!("{name}: benchmark\n")).concat());
    // cargo test runs one small pass of each.
    package.run(&[], &[]).expect(0)
}
