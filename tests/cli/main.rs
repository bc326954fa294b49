//! The bench target as cargo and people run it: flags, output, files, exit codes.
//!
//! The test executable is the bench target too: with `RUN_AS_BENCH` set it is nothing but `tachometer::main()`; and with
//! `RUN_AS_SERVER`, a server that a run starts.

mod cache;
mod comparison;
mod conversations;
mod formats;
mod gate;
mod history;
mod in_turn;
mod kept;
mod limits;
mod messages;
mod objectives;
mod package;
mod pages;
mod scrape;
mod screen;
mod server;
mod shard_faults;
mod shards;
mod started;
mod sweeps;
mod traces;
mod wrong_input;

use std::{io::Read, net::TcpListener, num::NonZero, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use package::{Package, RUN_AS_BENCH, engine, engine_with, fixture, live, refusing};
use serde_json::Value;
use tachometer::engine::RequestTruth;
use wrong_input::WRONG;

fn main() -> ExitCode {
    // A run hands its own variables on to the servers that it starts.
    if let Ok(how) = std::env::var(started::RUN_AS_SERVER) {
        return started::serve(&how);
    }
    if std::env::var_os(RUN_AS_BENCH).is_some() {
        if std::env::var_os(objectives::RUN_AS_OBJECTIVES).is_some() {
            return tachometer::objectives();
        }
        return match std::env::var("SERVER_IN_PROCESS") {
            Ok(how) => started::bench_in_process(&how),
            Err(_) => tachometer::main(),
        };
    }
    let mut arguments = Arguments::from_args();
    // They wait for servers and pauses half of the time.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(2 * cores);
    let mut trials = vec![
        Trial::test("list_is_terse_and_needs_nothing", list),
        Trial::test("without_bench_every_benchmark_runs_tiny_and_no_server_is_touched", tiny_touches_no_server),
        Trial::test("a_live_server_is_measured_into_every_file", measures_into_files),
        Trial::test("the_embedded_engine_is_measured_where_no_server_is_named", measures_embedded),
        Trial::test("without_streaming_token_latencies_are_dashes", without_streaming),
        Trial::test("an_open_loop_counts_from_the_intended_send", open_loop),
        Trial::test("the_lmdeploy_csv_is_the_originals", lmdeploy_csv),
        Trial::test("a_planted_key_is_found_nowhere", planted_key),
        Trial::test("a_failing_benchmark_keeps_no_other_from_running", one_fails),
        Trial::test("a_model_that_is_not_listed_is_a_warning", wrong_model),
        Trial::test("a_misspelt_variable_is_an_error", misspelt_variable),
        Trial::test("a_refused_field_names_its_setting", refused_field),
        Trial::test("the_program_writes_where_the_file_says", program),
    ];
    trials.extend(cache::trials());
    trials.extend(conversations::trials());
    trials.extend(scrape::trials());
    trials.extend(screen::trials());
    trials.extend(comparison::trials());
    trials.extend(formats::trials());
    trials.extend(gate::trials());
    trials.extend(history::trials());
    trials.extend(in_turn::trials());
    trials.extend(kept::trials());
    trials.extend(limits::trials());
    trials.extend(messages::trials());
    trials.extend(objectives::trials());
    trials.extend(pages::trials());
    trials.extend(sweeps::trials());
    trials.extend(server::trials());
    trials.extend(shards::trials());
    trials.extend(shard_faults::trials());
    trials.extend(started::trials());
    trials.extend(traces::trials());
    trials.extend(WRONG.iter().map(|wrong| Trial::test(format!("wrong/{}", wrong.name), || wrong.check())));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Into ./tachometer, where neither flag nor file says another folder.
fn program() -> Result<(), Failed> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tachometer"));
    let flags = ["--num-prompts", "2", "--sample-size", "1", "--concurrency", "1", "--max-tokens", "3"];
    let of_flag = [&flags[..], &["--out", "flagged"]].concat();
    for (config, flags, folder) in [
        ("", &flags[..], "tachometer"),
        ("out = \"results\"\n", &flags[..], "results"),
        ("out = \"results\"\n", &of_flag[..], "flagged"),
    ] {
        let package = Package::new(config);
        package.run_as(program, &package.path(""), flags, &[]).expect(0)?;
        assert!(package.path(folder).join("sharegpt/c1/new/report.json").is_file(), "{config} {flags:?}");
    }
    Ok(())
}

fn list() -> Result<(), Failed> {
    let config = "server = \"127.0.0.1:1\"\n[workload.a]\ndataset = \"nowhere.json\"\ntokenizer = \"nowhere\"\nconcurrency = [1, 64]\n[workload.b]\ndataset = \"random:1:1\"\ntokenizer = \"nowhere\"\n";
    let package = Package::empty(config);
    let names = "a/c1: benchmark\na/c64: benchmark\nb/c64: benchmark\n";
    for (flags, expected) in [
        (&["--list", "--format", "terse"][..], names),
        // As cargo-nextest asks.
        (&["--list", "--format", "terse", "--ignored"], ""),
        (&["--list", "--format", "terse", "a/c1", "--exact", "--bench"], "a/c1: benchmark\n"),
        (&["--list", "b"], "b/c64: benchmark\n\n0 tests, 1 benchmarks\n"),
    ] {
        let outcome = package.run(flags, &[]);
        outcome.expect(0)?;
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""), "{flags:?}");
    }
    assert!(!package.path("target").exists());
    Ok(())
}

fn tiny_touches_no_server() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    let package = Package::empty("dataset = \"nowhere.json\"\ntokenizer = \"nowhere\"\n");
    for flags in [&[][..], &["--test"], &["--bench", "--test"], &["--nocapture", "--test-threads", "1"]] {
        let outcome = package.run(flags, &[("TACHOMETER_SERVER", &url), ("TACHOMETER_CONCURRENCY", "1,64")]);
        outcome.expect(0)?;
        assert_eq!(outcome.stdout, "Testing sharegpt/c1\nSuccess\nTesting sharegpt/c64\nSuccess\n", "{flags:?}");
        assert_eq!(outcome.stderr, "");
    }
    assert!(listener.accept().is_err(), "a connection was made to the configured server");
    assert!(!package.path("target").exists(), "a test run left files");
    Ok(())
}

fn measures_into_files() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = [
        live(&url, &dataset, &tokenizer),
        vec!["--concurrency", "1,4", "--stream", "true", "--save-requests", "requests.jsonl"],
    ]
    .concat();
    for _ in 0..2 {
        package.run(&flags, &[]).expect(0)?;
    }
    let outcome = package.run(&flags, &[]);
    outcome.expect(0)?;

    // The console: a block a benchmark and one for its verdict, and a line for each, within 80 columns.
    let blocks: Vec<&str> = outcome.stdout.split("\n\n").filter(|block| !block.is_empty()).collect();
    assert_eq!(blocks.len(), 5, "{}", outcome.stdout);
    assert!(blocks[4].starts_with("benchmark    tokens/s ") && blocks[4].lines().count() == 3, "{}", blocks[4]);
    for (block, name) in blocks.iter().zip(["sharegpt/c1 ", "sharegpt/c4 "]) {
        assert!(block.starts_with(name), "{block}");
        let labels: Vec<&str> = block
            .lines()
            .filter_map(|line| line.get(24..)?.split_once(':'))
            .map(|(label, _)| label)
            .filter(|label| !label.ends_with("change"))
            .collect();
        assert_eq!(labels[..6], ["rpm", "output", "total", "ttft", "tpot", "itl"], "{block}");
        assert!(block.contains("2 passes of 12 prompts: 24 completed, 0 failed"), "{block}");
        assert!(block.contains("216 output tokens, as asked for (server's count)"), "{block}");
    }
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{}", outcome.stdout);

    // The CSV: one header, a row a pass.
    let csv = std::fs::read_to_string(package.path("target/tachometer/profile_api_server.csv"))?;
    let lines: Vec<&str> = csv.lines().collect();
    let design = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/design.md"))?;
    let documented = design.split("```csv\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(Some(lines[0].to_owned()), documented.map(|columns| columns.lines().collect()));
    assert_eq!(lines.len(), 1 + 3 * 2 * 2);
    assert!(lines[1].starts_with("sharegpt/c1,0,1,,12,12,0,"), "{}", lines[1]);
    assert!(lines[4].starts_with("sharegpt/c4,1,4,,12,12,0,"), "{}", lines[4]);

    // report.json, and the run before in base.
    let report = package.report("sharegpt/c4");
    assert_eq!((&report["schema_version"], &report["id"]), (&2.into(), &"sharegpt/c4".into()));
    assert_eq!((&report["load"]["kind"], &report["load"]["concurrency"]), (&"closed".into(), &4.into()));
    assert_eq!(
        (&report["server"]["url"], &report["server"]["model"]),
        (&url.as_str().into(), &"tachometer-engine".into())
    );
    for (seed, pass) in report["passes"].as_array().unwrap().iter().enumerate() {
        let number = |key: &str| pass[key].as_f64().unwrap();
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} is not {b}");
        assert_eq!(number("seed"), seed as f64);
        near(number("rpm"), number("rps") * 60.0);
        near(number("rps"), 12.0 / number("duration_s"));
        near(number("output_tokens_per_s"), 108.0 / number("duration_s"));
        near(number("total_tokens_per_s"), (number("prompt_tokens") + 108.0) / number("duration_s"));
        assert_eq!(pass["ttft_s"]["count"], 12);
        // Events that a busy client read together have no gap between them.
        assert_eq!((pass["itl_s"]["count"].as_f64().unwrap() / number("itl_real_share")).round(), 12.0 * 8.0);
    }
    let base: Value = serde_json::from_str(&std::fs::read_to_string(
        package.path("target/tachometer/sharegpt/c4/base/report.json"),
    )?)?;
    assert_eq!(base["workload"]["digest"], report["workload"]["digest"]);
    assert!(base["started_at"].as_str() < report["started_at"].as_str());

    // A line a request, which joins with the server's log by its id.
    let truths = engine.take_truths();
    let saved = std::fs::read_to_string(package.path("requests.jsonl"))?;
    let saved: Vec<Value> = saved.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(saved.len(), 3 * 2 * 2 * 12);
    for request in &saved {
        let id = request["request_id"].as_str().unwrap();
        let matching: Vec<&RequestTruth> = truths.iter().filter(|truth| truth.request_id == id).collect();
        assert_eq!(matching.len(), 1, "{id}");
        assert!(request["first_token_ns"].as_u64().unwrap() >= matching[0].token_ns[0]);
        assert_eq!((&request["outcome"], &request["output_tokens"]), (&"completed".into(), &9.into()));
        assert_eq!((&request["finish_reason"], &request["token_source"]), (&"length".into(), &"usage".into()));
    }
    // Warm-up requests went out as well, and are no measured ones.
    assert!(truths.len() > saved.len());
    Ok(())
}

fn measures_embedded() -> Result<(), Failed> {
    let package = Package::new("");
    let flags = ["--bench", "--num-prompts", "4", "--sample-size", "1", "--engine", "decode_step_ms=0.1", "c8"];
    let outcome = package.run(&flags, &[]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("the embedded engine, a simulation, not a real server"), "{}", outcome.stdout);
    assert!(!package.path("target/tachometer/sharegpt/c64").exists(), "the filter chose c8");
    let report = package.report("sharegpt/c8");
    assert_eq!((&report["server"]["embedded"], &report["workload"]["num_prompts"]), (&true.into(), &4.into()));
    Ok(())
}

fn without_streaming() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let outcome = package
        .run(&[live(&url, &dataset, &tokenizer), vec!["--concurrency", "2", "--api", "completions"]].concat(), &[]);
    outcome.expect(0)?;
    for expected in
        ["ttft:   -\n", "tpot:   -\n", "itl:    -\n", "e2e:    p50", "token latencies need streaming: --stream true"]
    {
        assert!(outcome.stdout.contains(expected), "{expected:?} is missing in {}", outcome.stdout);
    }
    let csv = std::fs::read_to_string(package.path("target/tachometer/profile_api_server.csv"))?;
    assert!(csv.lines().skip(1).all(|line| line.contains(",,,,,,,")), "{csv}");
    assert_eq!(package.report("sharegpt/c2")["passes"][0]["ttft_s"], Value::Null);
    Ok(())
}

/// 200 requests a second into a server that is let do one at a time, of 16 ms: nearly all of the time is waiting.
fn open_loop() -> Result<(), Failed> {
    let engine = engine_with("decode_step_ms=2,jitter=0");
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let flags = ["--request-rate", "200", "--max-in-flight", "1", "--stream", "true", "--verbose"];
    let outcome = package.run(&[live(&url, &dataset, &tokenizer), flags.to_vec()].concat(), &[]);
    outcome.expect(0)?;
    let report = package.report("sharegpt/r200");
    let csv = std::fs::read_to_string(package.path("target/tachometer/profile_api_server.csv"))?;
    for (pass, row) in report["passes"].as_array().unwrap().iter().zip(csv.lines().skip(1)) {
        let p50 = |latency: &str| pass[latency]["p50"].as_f64().unwrap();
        for (intended, sent) in [("ttft_s", "ttft_sent_s"), ("ttfo_s", "ttfo_sent_s"), ("e2e_s", "e2e_sent_s")] {
            assert!(p50(intended) > p50(sent) + 0.03, "{intended}: {} {}", p50(intended), p50(sent));
        }
        let column = csv.lines().next().unwrap().split(',').position(|column| column == "ttft_p50_s").unwrap();
        let written: f64 = row.split(',').nth(column).unwrap().parse().unwrap();
        assert!((written / p50("ttft_s") - 1.0).abs() < 1e-5, "{row}");
    }
    assert!(outcome.stdout.contains("latencies count from the intended send; from the"), "{}", outcome.stdout);
    let criterion = package.path("target/criterion/sharegpt_r200/ttft_p50/new/sample.json");
    let sample: Value = serde_json::from_str(&std::fs::read_to_string(criterion)?)?;
    let first_ns = sample["times"][0].as_f64().unwrap();
    let first_s = report["passes"][0]["ttft_s"]["p50"].as_f64().unwrap();
    assert!((first_ns * 1e-9 / first_s - 1.0).abs() < 1e-9, "{first_ns} ns, {first_s} s");
    Ok(())
}

fn lmdeploy_csv() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let more = vec![
        "--concurrency",
        "3",
        "--api",
        "lmdeploy",
        "--stream",
        "true",
        "--csv",
        "out/x.csv",
        "--csv-format",
        "lmdeploy",
    ];
    package.run(&[live(&url, &dataset, &tokenizer), more.clone()].concat(), &[]).expect(0)?;
    let csv = std::fs::read_to_string(package.path("out/x.csv"))?;
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some(
            "batch,num_prompts,prompt_tokens,completion_tokens,1st_token_latency(min)(s),1st_token_latency(max)(s),1st_token_latency(ave)(s),output token thr(tokens/s,total token thr(token/s),RPM"
        )
    );
    assert!(lines.clone().all(|line| line.starts_with("3,12,")), "{csv}");
    assert_eq!(lines.count(), 2);
    // The other columns do not go into the same file.
    let outcome = package.run(&[live(&url, &dataset, &tokenizer), vec!["--csv", "out/x.csv"]].concat(), &[]);
    outcome.expect(0)?;
    assert!(outcome.stderr.contains("the rows go to out/x.2.csv"), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(package.path("out/x.csv"))?, csv);
    assert!(std::fs::read_to_string(package.path("out/x.2.csv"))?.starts_with("benchmark,pass,"));
    Ok(())
}

fn planted_key() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let package = Package::new("");
    let secret = "planted-7f3a9";
    let flags = [
        live(&url, &dataset, &tokenizer),
        vec![
            "--api-key-env",
            "THE_KEY",
            "--header",
            "x-other: planted-7f3a9",
            "--save-requests",
            "requests.jsonl",
            "--verbose",
        ],
    ]
    .concat();
    let mut said = String::new();
    for flags in [
        flags.clone(),
        [flags.clone(), vec!["--model", "other"]].concat(),
        [flags, vec!["--header", "planted-7f3a9"]].concat(),
    ] {
        let outcome = package.run(&flags, &[("THE_KEY", secret)]);
        said += &(outcome.stdout + &outcome.stderr);
    }
    assert!(!said.contains(secret), "{said}");
    let mut files = vec![package.path("")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path)?.map(|entry| entry.unwrap().path()));
            continue;
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path)?.read_to_end(&mut bytes)?;
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", path.display());
        read += 1;
    }
    assert!(read >= 3, "{read} files");
    Ok(())
}

fn one_fails() -> Result<(), Failed> {
    let engine = engine();
    let config = format!(
        "server = \"{}\"\ntokenizer = '{}'\nconcurrency = 2\nnum_prompts = 3\nsample_size = 1\n[workload.bad]\ndataset = \"nowhere.json\"\n[workload.good]\ndataset = \"random:9:5\"\n",
        engine.url(),
        fixture("tokenizer.json")
    );
    let package = Package::new(&config);
    let outcome = package.run(&["--bench"], &[]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("error: bad/c2: cannot read the dataset"), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("error: 1 of 2 benchmarks failed\n"), "{}", outcome.stderr);
    assert_eq!(package.report("good/c2")["passes"][0]["output_tokens"], 15);
    Ok(())
}

fn misspelt_variable() -> Result<(), Failed> {
    let outcome = Package::new("").run(&["--list"], &[("TACHOMETER_NUM_PROMPT", "3")]);
    outcome.expect(2)?;
    let expected = "unknown variable `TACHOMETER_NUM_PROMPT`; did you mean `TACHOMETER_NUM_PROMPTS`?";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    Ok(())
}

fn wrong_model() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::new("");
    let outcome = package.run(&[live(&url, "random:5:5", &tokenizer), vec!["--model", "other"]].concat(), &[]);
    outcome.expect(101)?;
    let expected = "warning: the server does not list the model `other`; it lists: tachometer-engine";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    // This one serves no more than it lists, and says so.
    assert!(outcome.stderr.contains("The model `other` does not exist."), "{}", outcome.stderr);
    Ok(())
}

fn refused_field() -> Result<(), Failed> {
    for (message, expected) in [
        (
            r#"{"detail":"Unexpected fields in the request: {'ignore_eos'}"}"#,
            "(use --ignore-eos false to leave out the field `ignore_eos`)",
        ),
        (
            r#"{"error":{"message":"Unknown parameter: 'stream_options'"}}"#,
            "(use --include-usage false to leave out the field `stream_options`)",
        ),
        (
            r#"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#,
            "(use --max-tokens-field max_completion_tokens)",
        ),
    ] {
        let url = refusing("422 No", message)?;
        let tokenizer = fixture("tokenizer.json");
        let package = Package::new("");
        let flags = [live(&url, "random:5:5", &tokenizer), vec!["--model", "m", "--concurrency", "2"]].concat();
        let outcome = package.run(&flags, &[]);
        outcome.expect(101)?;
        assert!(
            outcome.stderr.contains("all 2 warm-up requests failed; the first with http_422"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
        assert!(!package.path("target/tachometer/random-5-5").exists());
    }
    Ok(())
}
