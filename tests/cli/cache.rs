//! Servers that cache prompts: no verdict is fooled by them, and no run is without a way out.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use tachometer::engine::Engine;

use crate::package::{Outcome, Package, engine_with, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("cache/the_same_prompts_again_lead_to_no_verdict", again),
        Trial::test("cache/a_server_without_a_cache_is_found_out", without),
        Trial::test("cache/load_points_that_share_prompts_say_so", load_points),
        Trial::test("cache/words_before_each_prompt_keep_it_out", cache_bust),
        Trial::test("cache/a_reported_share_that_differs_forbids_a_verdict", reported),
        Trial::test("cache/a_calibration_needs_prompts_of_its_own", calibration),
        Trial::test("cache/prompts_that_repeat_within_a_run_are_counted", repeated),
    ]
}

/// Prefilling takes by far the most of the time.
const CACHING: &str = "decode_step_ms=0.2,prefill_tokens_per_s=10000,prefix_cache=true";

struct Cached {
    package: Package,
    engine: Engine,
}

impl Cached {
    fn new(config: &str) -> Self {
        Self { package: Package::new(""), engine: engine_with(config) }
    }

    fn run(&self, flags: &[&str]) -> Outcome {
        let (url, tokenizer) = (self.engine.url(), fixture("tokenizer.json"));
        // Its counters would tell what it does not.
        let server =
            ["--bench", "--server", &url, "--metrics", "off", "--tokenizer", &tokenizer, "--dataset", "random:300:4"];
        let load = ["--num-prompts", "8", "--sample-size", "2", "--stream", "true"];
        self.package.run(&[&server[..], &load, flags].concat(), &[])
    }

    /// Prompt tokens from the cache, of the measured requests since the last call.
    fn cached(&self) -> Vec<u32> {
        let truths = self.engine.take_truths();
        let measured = truths.iter().filter(|truth| truth.request_id.contains("-p"));
        let measured = measured.filter(|truth| !truth.request_id.contains("probe"));
        let cached: Vec<u32> = measured.map(|truth| truth.cached_tokens).collect();
        // Two passes of eight prompts, or several such.
        assert!(!cached.is_empty() && cached.len().is_multiple_of(16), "{} measured requests", cached.len());
        cached
    }

    fn report(&self, load: &str) -> Value {
        self.package.report(&format!("random-300-4/{load}"))
    }
}

fn unwrapped(outcome: &Outcome) -> String {
    outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn again() -> Result<(), Failed> {
    let server = Cached::new(CACHING);
    let flags = ["--concurrency", "2", "--fail-on", "regression"];
    let first = server.run(&flags);
    first.expect(0)?;
    assert!(!first.stdout.contains("CACHED") && !first.stderr.contains("Checking whether"), "{}", first.stderr);
    assert!(server.cached().iter().all(|cached| *cached == 0));
    let second = server.run(&flags);
    second.expect(0)?;
    // Whole blocks of sixteen tokens.
    assert!(server.cached().iter().all(|cached| *cached == 288));
    let printed = unwrapped(&second);
    for expected in [
        "CACHED: the server answers prompts it has seen faster (",
        "these were sent to it before: random-300-4/c2 of 20",
        "ttft_p50 inconclusive -",
        "no verdict, because of the cache: the server caches prompts without saying how many, and these prompts were sent to it \
         before (random-300-4/c2 of 20",
        "--cache-bust keeps prompts out of the cache",
    ] {
        assert!(printed.contains(expected), "{expected:?} is missing in\n{printed}");
    }
    assert!(!printed.contains("improved") && !printed.contains("would settle it"), "{printed}");
    let report = server.report("c2");
    assert_eq!(report["cache"]["caches"], true);
    assert!(report["comparison"]["held_back"].is_string());
    let verdicts = report["comparison"]["metrics"].as_object().unwrap();
    assert!(verdicts.values().all(|change| change["verdict"] == "inconclusive"));
    server.run(&["--concurrency", "2", "--fail-on", "inconclusive"]).expect(3)
}

fn without() -> Result<(), Failed> {
    let server = Cached::new("decode_step_ms=0.2,prefill_tokens_per_s=10000");
    server.run(&["--concurrency", "2"]).expect(0)?;
    let second = server.run(&["--concurrency", "2"]);
    second.expect(0)?;
    assert!(second.stderr.contains("Checking whether the server caches prompts"), "{}", second.stderr);
    let report = server.report("c2");
    assert_eq!((&report["cache"]["caches"], &report["comparison"]["held_back"]), (&false.into(), &Value::Null));
    assert!(!second.stdout.contains("CACHED") && !second.stdout.contains("because of the cache"), "{}", second.stdout);
    Ok(())
}

fn load_points() -> Result<(), Failed> {
    let server = Cached::new(CACHING);
    let outcome = server.run(&["--concurrency", "1,4"]);
    outcome.expect(0)?;
    let printed = unwrapped(&outcome);
    assert!(printed.contains("these were sent to it before: random-300-4/c1 of this run"), "{printed}");
    assert_eq!(server.report("c1")["cache"]["sent_before"], Value::Null);
    assert!(server.cached().contains(&288));

    // Prompts of their own: the same ones in every run.
    let digests = |server: &Cached| ["c1", "c4"].map(|load| server.report(load)["passes"][1]["digest"].clone());
    let server = Cached::new(CACHING);
    let outcome = server.run(&["--concurrency", "1,4", "--fresh-prompts"]);
    outcome.expect(0)?;
    assert!(!outcome.stdout.contains("CACHED"), "{}", outcome.stdout);
    assert!(server.cached().iter().all(|cached| *cached == 0));
    let first = digests(&server);
    assert_ne!(first[0], first[1]);
    let anew = Cached::new(CACHING);
    anew.run(&["--concurrency", "4,1", "--fresh-prompts"]).expect(0)?;
    assert_eq!(digests(&anew), first);
    assert_eq!(anew.report("c4")["workload"]["fresh_prompts"], true);
    Ok(())
}

fn cache_bust() -> Result<(), Failed> {
    let server = Cached::new(CACHING);
    let mut nonces = BTreeSet::new();
    let mut digests = BTreeSet::new();
    for _ in 0..2 {
        let outcome = server.run(&["--concurrency", "1,4", "--cache-bust"]);
        outcome.expect(0)?;
        assert!(server.cached().iter().all(|cached| *cached == 0));
        assert!(
            !outcome.stderr.contains("Checking whether") && !outcome.stdout.contains("CACHED"),
            "{}",
            outcome.stderr
        );
        let report = server.report("c4");
        assert_eq!(report["passes"][0]["prompt_tokens"], 8 * 308);
        nonces.insert(report["workload"]["nonce_seed"].as_u64().unwrap());
        digests.insert(report["workload"]["digest"].as_str().unwrap().to_owned());
    }
    assert_eq!((nonces.len(), digests.len()), (2, 1));
    let comparison = &server.report("c4")["comparison"];
    assert_eq!((&comparison["comparable"], &comparison["held_back"]), (&true.into(), &Value::Null));
    // With and without are two workloads.
    let outcome = server.run(&["--concurrency", "1"]);
    assert!(unwrapped(&outcome).contains("not comparable different workload"), "{}", outcome.stdout);
    Ok(())
}

fn reported() -> Result<(), Failed> {
    let server = Cached::new(&format!("{CACHING},report_cached=true"));
    server.run(&["--concurrency", "2"]).expect(0)?;
    let second = server.run(&["--concurrency", "2", "--fail-on", "regression"]);
    second.expect(0)?;
    let printed = unwrapped(&second);
    let expected = "because of the cache: 96 % of the prompt tokens came from the server's cache, 0 % in the baseline";
    assert!(printed.contains(expected), "{printed}");
    assert!(!printed.contains("improved"), "{printed}");
    // From then on the share is the same, and the verdicts are what the numbers say.
    server.run(&["--concurrency", "2"]).expect(0)?;
    assert_eq!(server.report("c2")["comparison"]["held_back"], Value::Null);
    Ok(())
}

fn calibration() -> Result<(), Failed> {
    let server = Cached::new(CACHING);
    let refused = server.run(&["--concurrency", "2", "--calibrate"]);
    refused.expect(101)?;
    let expected = "both halves of a calibration would send the same ones: add --cache-bust or --fresh-prompts";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let path = server.package.path("target/tachometer/random-300-4/c2/calibration.json");
    assert!(!path.exists());
    for way_out in ["--fresh-prompts", "--cache-bust"] {
        server.run(&["--concurrency", "2", "--calibrate", way_out]).expect(0)?;
        assert!(server.cached().iter().all(|cached| *cached == 0), "{way_out}");
        let found: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        assert_eq!(found["pairs"], 2);
        assert!(found["noise_floors"]["ttft_p50"].is_number(), "{found:#}");
    }
    // What a calibration has sent is in the cache for a run that comes after it.
    let server = Cached::new(CACHING);
    server.run(&["--concurrency", "2", "--calibrate", "--fresh-prompts"]).expect(0)?;
    server.run(&["--concurrency", "2", "--fresh-prompts"]).expect(0)?;
    assert_eq!(server.report("c2")["cache"]["caches"], true);
    // Where the server says what came from its cache, the halves show it.
    let reporting = Cached::new(&format!("{CACHING},report_cached=true"));
    let refused = reporting.run(&["--concurrency", "2", "--calibrate"]);
    refused.expect(101)?;
    assert!(refused.stderr.contains("so this is no valid calibration: add --cache-bust"), "{}", refused.stderr);
    Ok(())
}

fn repeated() -> Result<(), Failed> {
    let server = Cached::new("decode_step_ms=0.2");
    let dataset = server.package.path("dataset.json");
    let turns = |i: usize| {
        let (question, answer) = (format!("{i} which ship sails to the sea now"), "the ship that is there sails out");
        serde_json::json!({"conversations": [{"value": question}, {"value": answer}]})
    };
    std::fs::write(&dataset, serde_json::to_string(&(0..10).map(turns).collect::<Vec<_>>())?)?;
    let (url, tokenizer) = (server.engine.url(), fixture("tokenizer.json"));
    let flags = ["--bench", "--server", &url, "--tokenizer", &tokenizer, "--dataset", dataset.to_str().unwrap()];
    let load = ["--num-prompts", "8", "--sample-size", "2", "--concurrency", "2"];
    let outcome = server.package.run(&[&flags[..], &load].concat(), &[]);
    outcome.expect(0)?;
    // Of ten, eight and eight are drawn: at least six twice.
    let repeated = server.package.report("sharegpt/c2")["cache"]["repeated"].as_u64().unwrap();
    assert!((6..=8).contains(&repeated), "{repeated}");
    let expected = format!("{repeated} of 16 prompts were sent more than once in this run");
    assert!(unwrapped(&outcome).contains(&expected), "{}", outcome.stdout);
    Ok(())
}
