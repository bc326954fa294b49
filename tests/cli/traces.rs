//! Recorded traffic, from the command line.

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::package::{Outcome, Package, engine_with, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("traces/requests_go_out_at_their_times", replayed),
        Trial::test("traces/what_is_sent_is_what_the_file_says", dumped),
        Trial::test("traces/what_can_be_said_wrongly_is_named", wrong),
    ]
}

fn run(package: &Package, trace: &str, more: &[&str]) -> Outcome {
    let trace = format!("trace:{}", fixture(&format!("traces/{trace}")));
    let number = if more.contains(&"--num-prompts") { &[][..] } else { &["--num-prompts", "30"] };
    package.run(&[&["--bench", "--dataset", &trace, "--sample-size", "2"], number, more].concat(), &[])
}

const FAST: &str =
    "instance_num=100,decode_step_ms=0.1,decode_per_request_us=0,prefill_tokens_per_s=1000000000,kv_tokens=100000000";

fn lines(package: &Package, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(package.path(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A request's distance from the first one, in milliseconds, as the trace has it.
fn recorded_ms(trace: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(fixture(&format!("traces/{trace}"))).unwrap();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["timestamp"].as_u64().unwrap();
    text.lines().map(line).collect()
}

fn replayed() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with(FAST));
    let (url, tokenizer, file) = (engine.url(), fixture("tokenizer.json"), package.path("requests.jsonl"));
    let live = ["--server", &url, "--tokenizer", &tokenizer, "--save-requests", file.to_str().unwrap()];
    for (more, name, scale) in [(&[][..], "recorded", 1.0), (&["--time-scale", "0.5"], "recorded-t0.5", 0.5)] {
        let outcome = run(&package, "mooncake.jsonl", &[&live[..], more].concat());
        outcome.expect(0)?;
        assert!(
            outcome.stderr.contains(
                "the 30 requests have only 2 different recorded times, at least 1 s apart, so they are sent in bursts"
            ),
            "{}",
            outcome.stderr
        );
        let report = package.report(&format!("mooncake/{name}"));
        assert_eq!((&report["load"]["kind"], &report["load"]["time_scale"]), (&"recorded".into(), &scale.into()));
        let sent = lines(&package, "requests.jsonl");
        std::fs::remove_file(&file)?;
        let recorded = recorded_ms("mooncake.jsonl");
        for pass in [0, 1] {
            let mut times: Vec<(u64, u64)> = sent
                .iter()
                .filter(|line| line["pass"] == pass)
                .map(|line| (line["index"].as_u64().unwrap(), line["intended_ns"].as_u64().unwrap()))
                .collect();
            times.sort_unstable();
            assert_eq!(times.len(), 30);
            for (index, at_ns) in &times {
                let expected_ns = (recorded[*index as usize] - recorded[0]) as f64 * 1e6 * scale;
                assert_eq!((at_ns - times[0].1) as f64, expected_ns, "{index}");
            }
            // None goes out before its time, however late.
            assert!(sent.iter().all(|line| line["sent_ns"].as_u64() >= line["intended_ns"].as_u64()));
        }
    }
    // Spread, or sent by so many clients, they are another load.
    let outcome = run(&package, "mooncake.jsonl", &[&live[..4], &["--spread"]].concat());
    outcome.expect(0)?;
    assert!(!outcome.stderr.contains("bursts") && outcome.stdout.contains("not comparable"), "{}", outcome.stdout);
    run(&package, "mooncake.jsonl", &[&live[..4], &["--concurrency", "4"]].concat()).expect(0)?;
    assert_eq!(package.report("mooncake/c4")["load"]["kind"], "closed");
    Ok(())
}

fn dumped() -> Result<(), Failed> {
    let package = Package::new("");
    let dump = |more: &[&str]| -> Result<Vec<Value>, Failed> {
        let file = package.path("workload.jsonl");
        run(&package, "azure.csv", &[&["--dump-workload", file.to_str().unwrap()], more].concat()).expect(0)?;
        Ok(lines(&package, "workload.jsonl"))
    };
    let text = std::fs::read_to_string(fixture("traces/azure.csv"))?;
    let mut expected = text.lines().skip(1);
    let all = dump(&[])?;
    for prompt in &all[..30] {
        let fields: Vec<&str> = expected.next().unwrap().trim().split(',').collect();
        assert_eq!(
            (prompt["prompt_tokens"].to_string(), prompt["output_tokens"].to_string()),
            (fields[1].to_owned(), fields[2].to_owned())
        );
        let second: f64 = fields[0].rsplit(':').next().unwrap().parse().unwrap();
        assert!((prompt["arrival_s"].as_f64().unwrap() - (second - 46.0)).abs() < 1e-6, "{prompt}");
    }
    // Another window is another workload.
    let part = dump(&["--trace-window", "0.05..", "--num-prompts", "5"])?;
    assert_eq!((part.len(), part[0]["arrival_s"].as_f64()), (6, Some(0.0)));
    assert_eq!(
        part[0]["output_tokens"],
        all.iter().find(|prompt| prompt["arrival_s"].as_f64() >= Some(0.05)).unwrap()["output_tokens"]
    );
    Ok(())
}

fn wrong() -> Result<(), Failed> {
    let package = Package::new("");
    let random = ["--dataset", "random:5:5"];
    for (flags, expected) in [
        (&["--time-scale", "2"][..], "--time-scale: it only applies to recorded times: use --dataset trace:FILE"),
        (&["--spread"], "--spread: it only applies to recorded times"),
        (&["--load", "recorded"], "--load: recorded times come from a trace: give one with --dataset trace:FILE"),
        (&["--trace-window", "0..5"], "--trace-window: it selects part of a trace: give one with --dataset trace:FILE"),
    ] {
        let outcome = package.run(&[&["--bench"], &random[..], flags].concat(), &[]);
        outcome.expect(2)?;
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    for (flags, code, expected) in [
        (&["--time-scale", "0"][..], 2, "--time-scale: 0 is no factor above 0"),
        (&["--trace-window", "5..2"], 2, "`5..2` ends before it begins"),
        (&["--duration", "5s"], 2, "recorded times already set the length of a pass"),
        (&["--trace-window", "0..0.01"], 101, "lower --num-prompts to "),
        (&["--trace-window", "900.."], 101, "has no request to send with both lengths above 0: it has 40 in all"),
    ] {
        let outcome = run(&package, "azure.csv", flags);
        outcome.expect(code)?;
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    Ok(())
}
