//! A run of several processes, each of which sends its share of the one workload.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use tachometer::{engine::RequestTruth, metrics::Distribution};

use crate::package::{Outcome, Package, Running, engine, engine_with, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("shards/a_closed_loop_through_a_folder_is_the_run_of_one_process", || one_run("closed")),
        Trial::test("shards/an_open_loop_through_a_port_is_the_run_of_one_process", || one_run("open")),
        Trial::test("shards/conversations_stay_whole", || one_run("conversations")),
        Trial::test("shards/clocks_that_differ_are_brought_together", clocks),
        Trial::test("shards/a_slow_way_makes_clocks_no_less_true", slow_way),
        Trial::test("shards/passes_go_on_and_two_servers_take_turns", in_turn),
        Trial::test("shards/what_warmup_has_shown_all_know", all_know),
    ]
}

/// Names the secret that all shards of a run know.
pub const TOKEN: &str = "TACHOMETER_RENDEZVOUS_TOKEN";
/// Moves a shard's clock.
const SHIFT: &str = "TACHOMETER_TEST_CLOCK_SHIFT_NS";

pub fn flags(url: &str) -> Vec<String> {
    let (dataset, tokenizer) = (fixture("sharegpt.json"), fixture("tokenizer.json"));
    let flags = ["--bench", "--server", url, "--dataset", &dataset, "--tokenizer", &tokenizer, "--stream", "true"];
    flags.map(str::to_owned).to_vec()
}

/// A port that was free a moment ago.
pub fn port() -> Result<String, Failed> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Starts a shard with these flags.
pub fn start(package: &Package, flags: &[String], rank: usize, of: usize, variables: &[(&str, &str)]) -> Running {
    let shard = format!("{rank}/{of}");
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--shard", &shard]).collect();
    package.spawn_with(&flags, &[&[(TOKEN, "a secret")], variables].concat())
}

fn all_end_well(running: Vec<Running>) -> Result<Vec<Outcome>, Failed> {
    let outcomes: Vec<Outcome> = running.into_iter().map(Running::wait).collect();
    outcomes.iter().try_for_each(|outcome| outcome.expect(0))?;
    Ok(outcomes)
}

/// What `--save-requests` wrote.
fn lines(path: &Path) -> Result<Vec<Value>, Failed> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn ns(line: &Value, key: &str) -> Option<u64> {
    line[key].as_u64()
}

/// The numbers of a pass, computed anew from its lines, are those of the report to the last digit.
fn is_of_lines(pass: &Value, lines: &[&Value]) {
    let completed: Vec<&&Value> = lines.iter().filter(|line| line["outcome"] == "completed").collect();
    assert_eq!(pass["completed"], completed.len());
    let first = lines.iter().filter_map(|line| ns(line, "sent_ns")).min().unwrap();
    let last = lines.iter().filter_map(|line| ns(line, "end_ns")).max().unwrap();
    let duration_s = (last - first) as f64 * 1e-9;
    assert_eq!(pass["duration_s"].as_f64(), Some(duration_s));
    assert_eq!(pass["rpm"].as_f64(), Some(completed.len() as f64 / duration_s * 60.0));
    let tokens: u64 = completed.iter().filter_map(|line| line["output_tokens"].as_u64()).sum();
    assert_eq!(pass["output_tokens"], tokens);
    assert_eq!(pass["output_tokens_per_s"].as_f64(), Some(tokens as f64 / duration_s));
    for (metric, end) in [("ttft_s", "first_token_ns"), ("e2e_s", "end_ns")] {
        let latency = |line: &&&Value| {
            let from = ns(line, "intended_ns").or(ns(line, "sent_ns"))?;
            Some(ns(line, end)?.saturating_sub(from) as f64 * 1e-9)
        };
        let expected = Distribution::of(completed.iter().filter_map(latency).collect());
        assert_eq!(pass[metric], serde_json::to_value(expected).unwrap(), "{metric}");
    }
}

/// Four shards send what one process sends, and the report is that of all records together.
fn one_run(kind: &str) -> Result<(), Failed> {
    let engine = engine();
    let (package, alone) = (Package::new(""), Package::new(""));
    let mut flags = flags(&engine.url());
    let more: &[&str] = match kind {
        "closed" => &["--concurrency", "8", "--num-prompts", "42"],
        "open" => &["--request-rate", "100", "--num-prompts", "42"],
        _ => &["--concurrency", "8", "--num-prompts", "60", "--max-context", "1900"],
    };
    flags.extend(more.iter().chain(&["--sample-size", "2", "--max-tokens", "20"]).map(|flag| (*flag).to_owned()));
    let (name, sessions) = match kind {
        "closed" => ("sharegpt/c8", false),
        "open" => ("sharegpt/r100", false),
        _ => ("sessions-sharegpt/c8", true),
    };
    if sessions {
        flags[4] = format!("sessions:{}", fixture("sharegpt.json"));
    }
    let of_one = [flags.as_slice(), &["--save-requests".to_owned(), "requests.jsonl".to_owned()]].concat();
    alone.run(&of_one.iter().map(String::as_str).collect::<Vec<_>>(), &[]).expect(0)?;
    engine.take_truths();
    let place = if kind == "open" { port()? } else { package.path("meet").display().to_string() };
    flags.extend(["--rendezvous", &place, "--save-requests", "requests.jsonl"].map(str::to_owned));
    let running = (0..4).rev().map(|rank| start(&package, &flags, rank, 4, &[])).collect();
    let outcomes = all_end_well(running)?;
    for (rank, outcome) in (0..4).rev().zip(&outcomes).filter(|(rank, _)| *rank > 0) {
        assert!(outcome.stdout.starts_with(&format!("Shard {rank} of 4: ")), "{}", outcome.stdout);
        assert_eq!(outcome.stdout.lines().count(), 1);
    }
    let truths: BTreeMap<String, RequestTruth> =
        engine.take_truths().into_iter().map(|truth| (truth.request_id.clone(), truth)).collect();

    let (report, single) = (package.report(name), alone.report(name));
    assert_eq!((&report["shards"], &single["shards"]), (&4.into(), &Value::Null));
    let of = |path| {
        lines(path).map(|mut all| {
            all.sort_by_key(|line| (line["pass"].as_u64(), line["index"].as_u64()));
            all
        })
    };
    let (all, of_one) = (of(&package.path("requests.jsonl"))?, of(&alone.path("requests.jsonl"))?);
    assert_eq!(all.len(), of_one.len());
    for (i, pass) in report["passes"].as_array().unwrap().iter().enumerate() {
        assert_eq!(pass["digest"], single["passes"][i]["digest"]);
        let own: Vec<&Value> = all.iter().filter(|line| line["pass"] == i).collect();
        let of_one: Vec<&Value> = of_one.iter().filter(|line| line["pass"] == i).collect();
        is_of_lines(pass, &own);
        let shards = pass["shards"].as_array().unwrap();
        assert_eq!(shards.len(), 4);
        let completed: u64 = shards.iter().filter_map(|shard| shard["completed"].as_u64()).sum();
        assert_eq!(pass["completed"], completed);
        // All show one machine's clock here.
        let unsure_ns = |shard: &Value| (shard["clock_uncertainty_s"].as_f64().unwrap() * 1e9).ceil() as u64 + 1;
        let most_ns = shards.iter().map(unsure_ns).max().unwrap();
        for shard in shards {
            let offset_s = shard["clock_offset_s"].as_f64().unwrap();
            assert!(offset_s.abs() * 1e9 <= unsure_ns(shard) as f64, "{shard}");
        }
        let intended = |line: &Value, first: &Value| Some(ns(line, "intended_ns")? - ns(first, "intended_ns")?);
        for (line, alone) in own.iter().zip(&of_one) {
            assert_eq!((&line["index"], &line["turn"]), (&alone["index"], &alone["turn"]));
            assert_eq!(line["prompt_tokens"], alone["prompt_tokens"]);
            // As the engine has it.
            let truth = &truths[line["request_id"].as_str().unwrap()];
            assert_eq!(line["output_tokens"], truth.token_ns.len());
            assert!(ns(line, "sent_ns").unwrap() <= truth.received_ns + most_ns, "{line}");
            assert!(ns(line, "first_token_ns").unwrap() + most_ns >= truth.token_ns[0], "{line}");
            // The one schedule.
            let times = intended(line, own[0]).zip(intended(alone, of_one[0]));
            assert!(times.is_none_or(|(ours, theirs)| ours.abs_diff(theirs) <= 2 * most_ns), "{line} {alone}");
        }
    }
    // Nothing is left of what was kept in case a shard is lost.
    assert!(!package.path("target/tachometer/shards").exists());
    assert!(kind == "open" || std::fs::read_dir(package.path("meet"))?.next().is_none());
    Ok(())
}

/// Each shard's clock is ahead or behind by hours.
fn clocks() -> Result<(), Failed> {
    let engine = engine();
    let package = Package::new("");
    let mut flags = flags(&engine.url());
    let more = ["--request-rate", "200", "--num-prompts", "30", "--sample-size", "3", "--max-tokens", "3"];
    flags.extend(more.map(str::to_owned));
    flags.extend(["--rendezvous".to_owned(), port()?]);
    let shifts: [i64; 3] = [0, 7_200_000_000_000, -1_234_567_891];
    let run = |rank: usize| start(&package, &flags, rank, 3, &[(SHIFT, &shifts[rank].to_string())]);
    all_end_well((0..3).map(run).collect())?;
    let report = package.report("sharegpt/r200");
    for pass in report["passes"].as_array().unwrap() {
        for (shard, shift_ns) in pass["shards"].as_array().unwrap().iter().zip(shifts) {
            let [offset_s, unsure_s] =
                ["clock_offset_s", "clock_uncertainty_s"].map(|key| shard[key].as_f64().unwrap());
            // To what a number of 64 bits keeps of hours.
            let wrong_s = (offset_s + shift_ns as f64 * 1e-9).abs();
            assert!(wrong_s <= unsure_s + 1e-9, "{shard}");
        }
        // All at their times, not hours apart: 30 requests at 200 a second.
        let lag = &pass["send_lag_s"];
        assert!(pass["duration_s"].as_f64().unwrap() < 600.0 && lag["max"].as_f64().unwrap() < 600.0, "{pass}");
    }
    Ok(())
}

/// A way to an address that takes longer there than back, never the same, and that stops now and then as TCP does when it loses a segment.
fn way_to(address: &str) -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let way = listener.local_addr()?.to_string();
    let address = address.to_owned();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            // Before shard 0 listens nobody is there.
            let Ok(far) = TcpStream::connect(&address) else { continue };
            let ways = [(near.try_clone(), far.try_clone(), 4000_u64), (Ok(far), Ok(near), 500)];
            for (from, to, most_us) in ways {
                let (Ok(mut from), Ok(mut to)) = (from, to) else { continue };
                std::thread::spawn(move || {
                    let (mut buffer, mut state) = (vec![0; 1 << 16], most_us);
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let lost = (state >> 33).is_multiple_of(50);
                        let delay_us = (state >> 40) % most_us + if lost { 100_000 } else { 0 };
                        std::thread::sleep(Duration::from_micros(delay_us));
                        if to.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    Ok(way)
}

/// In 20 passes, what each says of a shifted clock holds.
fn slow_way() -> Result<(), Failed> {
    let engine = engine();
    let package = Package::new("");
    let mut flags = flags(&engine.url());
    let more = ["--request-rate", "500", "--num-prompts", "8", "--sample-size", "20", "--max-tokens", "2"];
    flags.extend(more.map(str::to_owned));
    let place = port()?;
    let way = way_to(&place)?;
    let shift_ns: i64 = -987_654_321;
    let run = |rank: usize| {
        let place = if rank == 0 { &place } else { &way };
        let flags = [&flags[..], &["--rendezvous".to_owned(), place.clone()]].concat();
        start(&package, &flags, rank, 2, &[(SHIFT, &(shift_ns * rank as i64).to_string())])
    };
    all_end_well((0..2).map(run).collect())?;
    let report = package.report("sharegpt/r500");
    let passes = report["passes"].as_array().unwrap();
    assert_eq!(passes.len(), 20);
    for pass in passes {
        let shard = &pass["shards"][1];
        let [offset_s, unsure_s] = ["clock_offset_s", "clock_uncertainty_s"].map(|key| shard[key].as_f64().unwrap());
        assert!((offset_s + shift_ns as f64 * 1e-9).abs() <= unsure_s + 1e-9, "{shard}");
    }
    Ok(())
}

/// Shard 0 decides how many passes there are, and which server is next.
fn in_turn() -> Result<(), Failed> {
    // A difference that shows on a busy machine, too.
    let engines = [engine(), engine_with("decode_step_ms=20")];
    let package = Package::new("");
    let mut flags = flags(&engines[0].url());
    let against = engines[1].url();
    let place = package.path("meet").display().to_string();
    let more = ["--against", &against, "--resolve", "20%", "--time-budget", "30s", "--rendezvous", &place];
    flags.extend(more.map(str::to_owned));
    flags
        .extend(["--concurrency", "4", "--num-prompts", "12", "--max-tokens", "20", "--cache-bust"].map(str::to_owned));
    let outcomes = all_end_well((0..2).map(|rank| start(&package, &flags, rank, 2, &[])).collect())?;
    assert!(outcomes[0].stdout.contains("improved, interleaved"), "{}", outcomes[0].stdout);
    let report = package.report("sharegpt/c4");
    let passes = report["passes"].as_array().unwrap();
    assert!(passes.len() >= 2);
    for pass in passes {
        assert_eq!((&pass["completed"], &pass["shards"][1]["completed"]), (&12.into(), &6.into()));
    }
    // Both servers had all prompts of their passes.
    for engine in &engines {
        assert!(engine.take_truths().len() >= 12 * passes.len());
    }
    Ok(())
}

/// What three shards have kept of a first pass is put together, but for what is damaged.
/// A server that leaves bodies open after the last event: how long is waited in vain for their end tells what is known of it.
fn leaves_bodies_open() -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = listener.local_addr()?.to_string();
    let events = [
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":1,"total_tokens":9}}"#,
        "[DONE]",
    ];
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let stream = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    );
    let models = r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;
    let models = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{models}", models.len());
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let (stream, models) = (stream.clone(), models.clone());
            // Short requests, which come in one piece.
            std::thread::spawn(move || {
                let (mut connection, mut request) = (connection, vec![0; 1 << 16]);
                while let Ok(length @ 1..) = connection.read(&mut request) {
                    let answer = if request[..length].starts_with(b"GET") { &models } else { &stream };
                    _ = connection.write_all(answer.as_bytes());
                }
            });
        }
    });
    Ok(url)
}

fn all_know() -> Result<(), Failed> {
    let (url, package) = (leaves_bodies_open()?, Package::new(""));
    let mut flags = flags(&url);
    flags[4] = "random:8:1".to_owned();
    let place = package.path("meet").display().to_string();
    // After three in a row it is known, and tried again after 16 and 32.
    let more = ["--concurrency", "2", "--num-prompts", "4", "--sample-size", "2", "--warmup", "17", "--metrics", "off"];
    flags.extend(more.iter().chain(&["--rendezvous", &place]).map(|flag| (*flag).to_owned()));
    all_end_well((0..2).rev().map(|rank| start(&package, &flags, rank, 2, &[])).collect())?;
    for pass in package.report("random-8-1/c2")["passes"].as_array().unwrap() {
        let connections = &pass["connections"];
        assert_eq!((&connections["left_open"], &connections["end_wait_s"]), (&4.into(), &0.0.into()), "{pass:#}");
    }
    Ok(())
}
