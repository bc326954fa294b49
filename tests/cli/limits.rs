//! Servers that die, stall and refuse, runs that are interrupted, disks that are full: it ends, says what happened, and keeps
//! what it measured.

use std::{net::TcpListener, path::Path, time::Duration};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::package::{Package, engine, engine_with, fixture, refusing};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("too_many_failures_end_a_benchmark_early", too_many_failures),
        Trial::test("a_pass_in_which_all_failed_is_an_error", all_failed),
        Trial::test("failures_within_the_budget_are_reported", failures_within_the_budget),
        Trial::test("retries_are_counted_and_do_not_restart_the_clock", retries),
        Trial::test("a_server_that_is_not_there_yet_is_waited_for", waits_for_the_server),
        Trial::test("a_server_that_never_gets_ready_is_an_error", never_ready),
        Trial::test("an_interrupted_run_keeps_what_is_complete", interrupted),
        Trial::test("the_second_interruption_leaves_at_once", interrupted_twice),
        Trial::test("a_run_that_waits_for_another_can_be_interrupted", interrupted_in_the_queue),
        Trial::test("passes_before_the_one_that_fails_are_kept", earlier_passes),
        Trial::test("a_killed_run_leaves_earlier_benchmarks_whole", killed),
        Trial::test("two_runs_at_once_keep_both_whole", two_runs),
        Trial::test("a_full_disk_costs_one_file", full_disk),
        Trial::test("too_few_open_files_are_named", open_files),
        Trial::test("a_target_directory_that_cannot_be_written_is_named", unwritable),
    ]
}

/// A streaming benchmark that waits for nothing long.
pub fn quick<'a>(url: &'a str, tokenizer: &'a str) -> Vec<&'a str> {
    let server = ["--bench", "--server", url, "--dataset", "random:8:8", "--tokenizer", tokenizer];
    let load = ["--stream", "true", "--concurrency", "2", "--num-prompts", "60", "--sample-size", "1"];
    let limits = ["--first-token-timeout", "1.5", "--stall-timeout", "1.5"];
    [&server[..], &load, &limits].concat()
}

/// Of each three requests one fails.
const FAULTY: &str = "decode_step_ms=0.2,fault_share=0.03";

fn partial(package: &Package, benchmark: &str) -> Value {
    let path = package.path("target/tachometer").join(benchmark).join("partial/report.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn too_many_failures() -> Result<(), Failed> {
    let engine = engine_with(FAULTY);
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    let outcome = package.run(&[quick(&url, &tokenizer), vec!["--warmup", "0"]].concat(), &[]);
    outcome.expect(101)?;
    for expected in ["pass 0 was aborted: ", " at most 10 % of its 60 may (--max-failures): "] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    assert!(outcome.stdout.contains("PARTIAL, of 1 pass: too many requests failed"), "{}", outcome.stdout);
    let report = partial(&package, "random-8-8/c2");
    assert_eq!(report["partial"]["why"], "failures");
    let number = |key: &str| report["passes"][0][key].as_u64().unwrap();
    // One more than the budget, and at most the other client's request, which was in flight.
    assert!((7..=8).contains(&number("failed")), "{report:#}");
    assert!(number("completed") + number("failed") < 60);
    assert_eq!(engine.take_truths().len() as u64, number("completed") + number("failed"));
    for file in ["random-8-8/c2/new", "history.jsonl", "profile_api_server.csv"] {
        assert!(!package.path("target/tachometer").join(file).exists(), "{file}");
    }
    Ok(())
}

fn all_failed() -> Result<(), Failed> {
    let (url, tokenizer) = (refusing("404 No", "worker died")?, fixture("tokenizer.json"));
    let package = Package::new("");
    let outcome = package.run(&[quick(&url, &tokenizer), vec!["--model", "m", "--warmup", "0"]].concat(), &[]);
    outcome.expect(101)?;
    for expected in ["error: random-8-8/c2: pass 0: all ", " requests failed: ", " http_404: worker died"] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "");
    assert!(!package.path("target/tachometer/random-8-8").exists());
    Ok(())
}

fn failures_within_the_budget() -> Result<(), Failed> {
    let engine = engine_with(FAULTY);
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    let outcome =
        package.run(&[quick(&url, &tokenizer), vec!["--warmup", "0", "--max-failures", "100%"]].concat(), &[]);
    outcome.expect(0)?;
    let pass = &package.report("random-8-8/c2")["passes"][0];
    let mut truth = std::collections::BTreeMap::<String, u64>::new();
    for request in engine.take_truths() {
        if let Some(fault) = request.fault {
            *truth.entry(fault.class().to_string()).or_default() += 1;
        }
    }
    assert_eq!(pass["failures"], serde_json::to_value(&truth)?);
    assert_eq!(pass["completed"].as_u64().unwrap() + truth.values().sum::<u64>(), 60);
    for (class, n) in truth {
        assert!(outcome.stdout.contains(&format!("failed: {n} {class}: ")), "{class}: {}", outcome.stdout);
    }
    Ok(())
}

fn retries() -> Result<(), Failed> {
    let engine = engine_with(FAULTY);
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    let more = vec!["--warmup", "0", "--retries", "3", "--max-failures", "100%", "--save-requests", "requests.jsonl"];
    let outcome = package.run(&[quick(&url, &tokenizer), more].concat(), &[]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("were retried (--retries)"), "{}", outcome.stdout);
    let mut seen = std::collections::BTreeMap::<String, u64>::new();
    engine.take_truths().into_iter().for_each(|truth| *seen.entry(truth.request_id).or_default() += 1);
    let saved = std::fs::read_to_string(package.path("requests.jsonl"))?;
    let mut retried = 0;
    for line in saved.lines() {
        let request: Value = serde_json::from_str(line)?;
        let times = seen[request["request_id"].as_str().unwrap()];
        assert_eq!(request["retries"].as_u64(), Some(times - 1), "{line}");
        retried += u64::from(times > 1);
        // A tenth of a second of waiting before each: the time is that since the first send.
        let took_ns = request["end_ns"].as_u64().unwrap() - request["sent_ns"].as_u64().unwrap();
        assert!(took_ns >= 100_000_000 * (times - 1), "{line}");
    }
    assert_eq!(package.report("random-8-8/c2")["passes"][0]["retried"], retried);
    assert!(retried > 5);
    Ok(())
}

fn waits_for_the_server() -> Result<(), Failed> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (url, tokenizer) = (address.to_string(), fixture("tokenizer.json"));
    let package = Package::new("");
    let mut run = package.spawn(&[quick(&url, &tokenizer), vec!["--wait-ready", "60"]].concat());
    run.read_until(&format!("Waiting for http://{address}: Connection refused"))?;
    let config = "decode_step_ms=0.2".parse()?;
    let tokenizer = std::sync::Arc::new(tachometer::fixtures::tokenizer()?);
    let _engine = tachometer::engine::Engine::start(config, tokenizer, address.port())?;
    run.wait().expect(0)
}

fn never_ready() -> Result<(), Failed> {
    let (url, tokenizer) =
        (refusing("503 No", "{\"error\":{\"message\":\"Loading model\"}}")?, fixture("tokenizer.json"));
    let package = Package::new("");
    let outcome = package.run(&[quick(&url, &tokenizer), vec!["--wait-ready", "0.4"]].concat(), &[]);
    outcome.expect(101)?;
    let expected = "was not ready within 0.4 s (--wait-ready); at last: 503 to GET /health: Loading model";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    Ok(())
}

/// Two benchmarks, of which the second takes long.
fn long<'a>(config: &'a Path, tokenizer: &'a str) -> Vec<&'a str> {
    vec![
        "--bench",
        "--config",
        config.to_str().unwrap(),
        "--tokenizer",
        tokenizer,
        "--sample-size",
        "1",
        "--warmup",
        "0",
    ]
}

fn long_config(url: &str) -> String {
    format!(
        "server = \"{url}\"\nconcurrency = 2\nstream = true\n[workload.a]\ndataset = \"random:8:8\"\nnum_prompts = 4\n\
         [workload.b]\ndataset = \"random:8:8\"\nnum_prompts = 20000\n[workload.c]\ndataset = \"random:8:8\"\n"
    )
}

fn interrupted() -> Result<(), Failed> {
    let tokenizer = fixture("tokenizer.json");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let engine = engine();
        let package = Package::new(&long_config(&engine.url()));
        let config = package.path("tachometer.toml");
        let mut run = package.spawn(&long(&config, &tokenizer));
        run.read_until("Benchmarking b/c2: pass 1/1")?;
        engine.take_truths();
        // Some requests of it have ended.
        while engine.take_truths().len() < 5 {
            std::thread::sleep(Duration::from_millis(5));
        }
        run.signal(signal);
        let outcome = run.wait();
        outcome.expect(130)?;
        assert!(outcome.stderr.contains("Stopping, and keeping what is complete"), "{}", outcome.stderr);
        assert!(outcome.stderr.ends_with("error: interrupted\n"), "{}", outcome.stderr);
        assert!(outcome.stdout.contains("PARTIAL, of 1 pass: it was interrupted"), "{}", outcome.stdout);
        let report = partial(&package, "b/c2");
        assert_eq!(report["partial"]["why"], "interrupted");
        let pass = &report["passes"][0];
        assert!(pass["completed"].as_u64().unwrap() >= 5);
        // None, if it came just between two requests.
        assert_eq!(pass["failed"].as_u64(), Some(pass["failures"]["cancelled"].as_u64().unwrap_or(0)));
        assert!(pass["failed"].as_u64().unwrap() <= 2, "{pass:#}");
        // What was complete before is kept; nothing new was begun.
        assert_eq!(package.report("a/c2")["passes"][0]["completed"], 4);
        let history = std::fs::read_to_string(package.path("target/tachometer/history.jsonl"))?;
        assert_eq!(history.lines().count(), 1);
        for slot in ["b/c2/new", "c"] {
            assert!(!package.path("target/tachometer").join(slot).exists(), "{slot}");
        }
    }
    Ok(())
}

fn interrupted_twice() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    // Reading a dataset does not stop in good order, and a pipe that nobody writes to is never read to its end.
    let pipe = package.path("dataset.json");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    let flags: Vec<&str> = quick(&url, &tokenizer);
    let flags = flags.into_iter().map(|flag| if flag == "random:8:8" { pipe.to_str().unwrap() } else { flag });
    let mut run = package.spawn(&flags.collect::<Vec<_>>());
    run.read_until("drawing 60 prompts")?;
    run.signal(Signal::SIGINT);
    run.read_until("Stopping, and keeping what is complete; interrupt again to exit at once")?;
    run.signal(Signal::SIGINT);
    run.wait().expect(130)?;
    assert_eq!(engine.take_truths().len(), 0);
    Ok(())
}

fn interrupted_in_the_queue() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    std::fs::create_dir_all(package.path("target/tachometer"))?;
    let lock = std::fs::File::create(package.path("target/tachometer/.lock"))?;
    lock.lock()?;
    let mut run = package.spawn(&quick(&url, &tokenizer));
    run.read_until("Waiting for another run")?;
    run.signal(Signal::SIGINT);
    run.wait().expect(130)?;
    assert_eq!(engine.take_truths().len(), 0);
    Ok(())
}

fn earlier_passes() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    let more = |flag| match flag {
        "60" => "1000",
        "1" => "3",
        flag => flag,
    };
    let flags: Vec<&str> = quick(&url, &tokenizer).into_iter().map(more).collect();
    let mut run = package.spawn(&flags);
    run.read_until("pass 2/3")?;
    // The server dies.
    drop(engine);
    let outcome = run.wait();
    outcome.expect(101)?;
    let report = partial(&package, "random-8-8/c2");
    // It dies in the second pass, or before its connections are open.
    let words = match report["partial"]["why"].as_str() {
        Some("failures") => "too many requests failed",
        Some("error") => "it ended with an error",
        other => panic!("{other:?}"),
    };
    assert!(outcome.stdout.contains(&format!("PARTIAL, of 3 passes: {words}")), "{}", outcome.stdout);
    assert_eq!(report["passes"][0]["completed"], 1000);
    // The estimates are those of the whole pass.
    assert_eq!(report["estimates"]["rpm"]["point"], report["passes"][0]["rpm"]);
    Ok(())
}

fn killed() -> Result<(), Failed> {
    let (engine, tokenizer) = (engine(), fixture("tokenizer.json"));
    let package = Package::new(&long_config(&engine.url()));
    let config = package.path("tachometer.toml");
    let mut run = package.spawn(&long(&config, &tokenizer));
    run.read_until("Benchmarking b/c2: pass 1/1")?;
    run.signal(Signal::SIGKILL);
    run.wait().expect(-1)?;
    assert_eq!(package.report("a/c2")["passes"][0]["completed"], 4);
    // The next run finds nothing in its way, and compares with what was kept.
    let outcome = package.run(&[long(&config, &tokenizer), vec!["--exact", "a/c2"]].concat(), &[]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("against last run"), "{}", outcome.stdout);
    Ok(())
}

fn two_runs() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    let runs = [(), ()].map(|()| package.spawn(&quick(&url, &tokenizer)));
    for run in runs {
        run.wait().expect(0)?;
    }
    let lines =
        |name: &str| std::fs::read_to_string(package.path("target/tachometer").join(name)).unwrap().lines().count();
    assert_eq!((lines("history.jsonl"), lines("profile_api_server.csv")), (3, 3));
    let base = package.path("target/tachometer/random-8-8/c2/base/report.json");
    let base: Value = serde_json::from_str(&std::fs::read_to_string(base)?)?;
    assert_eq!(
        (&base["passes"][0]["completed"], &package.report("random-8-8/c2")["passes"][0]["completed"]),
        (&60.into(), &60.into())
    );
    Ok(())
}

fn full_disk() -> Result<(), Failed> {
    // Linux has a device for it.
    if !Path::new("/dev/full").exists() {
        return Ok(());
    }
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    for flag in ["--csv", "--save-requests", "--history"] {
        let package = Package::new("");
        let outcome = package.run(&[quick(&url, &tokenizer), vec![flag, "/dev/full"]].concat(), &[]);
        outcome.expect(101)?;
        assert!(outcome.stderr.contains("/dev/full: No space left on device"), "{flag}: {}", outcome.stderr);
        assert!(outcome.stdout.contains("60 completed, 0 failed"), "{flag}: the results are lost: {}", outcome.stdout);
        assert_eq!(package.report("random-8-8/c2")["passes"][0]["completed"], 60);
        for file in ["history.jsonl", "profile_api_server.csv"] {
            let kept = package.path("target/tachometer").join(file).exists();
            assert_eq!(kept, !file.contains(&flag[2..]), "{flag}: {file}");
        }
    }
    Ok(())
}

fn open_files() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let flags: Vec<&str> =
        quick(&url, &tokenizer).into_iter().map(|flag| if flag == "2" { "60" } else { flag }).collect();
    let outcome = Package::new("").run_with_open_files(40, &flags);
    outcome.expect(101)?;
    let expected = "Too many open files (os error 24): each connection takes an open file; raise the limit (ulimit -n)";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    Package::new("").run_with_open_files(200, &flags).expect(0)
}

/// It is found before anything is sent, so that nothing is measured in vain.
fn unwritable() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::empty("");
    std::fs::write(package.path("target"), "a file")?;
    let outcome = package.run(&quick(&url, &tokenizer), &[]);
    outcome.expect(101)?;
    let expected = format!("{}: Not a directory", package.path("target/tachometer").display());
    assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    assert_eq!(engine.take_truths().len(), 0);
    Ok(())
}
