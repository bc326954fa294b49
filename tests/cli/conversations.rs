//! Conversations of several turns, against the engine's own record of what it took from its cache.

use std::collections::HashMap;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use tachometer::engine::RequestTruth;

use crate::package::{Package, engine_with, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("conversations/turns_are_those_of_the_engine", turns),
        Trial::test("conversations/answers_of_the_server_make_another_workload", live),
        Trial::test("conversations/what_can_be_said_wrongly_is_named", wrong),
        Trial::test("conversations/a_seed_draws_the_same_everywhere", golden),
        Trial::test("conversations/groups_share_what_their_prompts_begin_with", groups),
    ]
}

const CACHING: &str = "decode_step_ms=0.2,prefill_tokens_per_s=1000000,prefix_cache=true,block_tokens=1,report_cached=true,kv_tokens=1000000";

/// Each line a request, with what the engine knows of it.
fn lines(package: &Package, truths: Vec<RequestTruth>) -> Vec<(Value, RequestTruth)> {
    let mut truths: HashMap<String, RequestTruth> =
        truths.into_iter().map(|truth| (truth.request_id.clone(), truth)).collect();
    let text = std::fs::read_to_string(package.path("requests.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .map(|line: Value| {
            let truth = truths.remove(line["request_id"].as_str().unwrap()).unwrap();
            (line, truth)
        })
        .collect()
}

fn flags<'a>(url: &'a str, tokenizer: &'a str, dataset: &'a str) -> Vec<&'a str> {
    vec![
        "--bench",
        "--server",
        url,
        "--tokenizer",
        tokenizer,
        "--dataset",
        dataset,
        "--stream",
        "true",
        "--concurrency",
        "3",
        "--sample-size",
        "2",
        "--warmup",
        "1",
    ]
}

fn turns() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with(CACHING));
    let (url, tokenizer, dataset) =
        (engine.url(), fixture("tokenizer.json"), format!("sessions:{}", fixture("sharegpt.json")));
    // Each pass has conversations of its own, as far as a cache can tell.
    let more = ["--num-prompts", "40", "--think-time", "0.02", "--cache-bust", "--save-requests", "requests.jsonl"];
    let outcome = package.run(&[&flags(&url, &tokenizer, &dataset)[..], &more].concat(), &[]);
    outcome.expect(0)?;
    let report = package.report("sessions-sharegpt/c3");
    let lines = lines(&package, engine.take_truths());
    assert_eq!(lines.len(), 80);
    assert_eq!(
        (&report["workload"]["history_from"], &report["workload"]["think_time"]),
        (&"recorded".into(), &"0.02".into())
    );
    for (number, pass) in report["passes"].as_array().unwrap().iter().enumerate() {
        let of_pass: Vec<&(Value, RequestTruth)> = lines.iter().filter(|(line, _)| line["pass"] == number).collect();
        let conversations = &pass["conversations"];
        // The last one of a pass may be cut to a turn.
        let started = of_pass.iter().filter(|(line, _)| line["turn"] == 0).count();
        assert_eq!((&conversations["started"], &conversations["completed"]), (&started.into(), &started.into()));
        let by_turn = conversations["by_turn"].as_array().unwrap();
        assert!(by_turn.len() >= 2, "{by_turn:?}");
        for (turn, told) in by_turn.iter().enumerate() {
            let of_turn: Vec<&(Value, RequestTruth)> =
                of_pass.iter().copied().filter(|(line, _)| line["turn"] == turn).collect();
            let sum = |of: fn(&RequestTruth) -> u32| of_turn.iter().map(|(_, truth)| f64::from(of(truth))).sum::<f64>();
            assert_eq!(told["completed"], of_turn.len());
            let share = sum(|truth| truth.cached_tokens) / sum(|truth| truth.prompt_tokens);
            assert!((told["cached_share"].as_f64().unwrap() - share).abs() < 1e-9, "{told} {share}");
            // What is in the cache is what the turn before sent, but for the rest of a block and a joint.
            let ideal = told["ideal_cached_share"].as_f64().unwrap();
            assert!(
                if turn == 0 { ideal == 0.0 } else { ideal > share - 0.02 && share > 0.8 * ideal },
                "{turn}: {told}"
            );
            // From the client's send to the engine's first token, and no more than a little after that.
            let ttft_s: Vec<f64> = of_turn
                .iter()
                .map(|(line, truth)| (truth.token_ns[0] - line["sent_ns"].as_u64().unwrap()) as f64 * 1e-9)
                .collect();
            let least = ttft_s.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(told["ttft_s"]["min"].as_f64().unwrap() >= least, "{told} {ttft_s:?}");
            assert_eq!(told["ttft_s"]["count"], of_turn.len());
        }
        // Each turn waits for the one before it, and then for its pause.
        for pair in of_pass.windows(2).filter(|pair| pair[1].0["turn"] != 0) {
            let [before, next] = [pair[0], pair[1]];
            let waited = next.0["sent_ns"].as_u64().unwrap() - before.0["end_ns"].as_u64().unwrap();
            assert!(waited >= 20_000_000 && next.1.received_ns > before.1.ended_ns, "{waited}");
        }
    }
    for expected in
        ["conversations completed", "turn       sent   ttft p50    prompt  cached   ideal", "without the pauses"]
    {
        assert!(outcome.stdout.contains(expected), "{expected}: {}", outcome.stdout);
    }
    // In a run without conversations nothing of it appears.
    let outcome = package.run(
        &[&flags(&url, &tokenizer, "random:20:4")[..], &["--num-prompts", "6", "--think-time", "1"]].concat(),
        &[],
    );
    outcome.expect(0)?;
    assert!(outcome.stderr.contains("--think-time means nothing here: no prompt of random:20:4"), "{}", outcome.stderr);
    let report = package.report("random-20-4/c3");
    assert!(
        !outcome.stdout.contains("turn") && report["passes"][0].get("conversations").is_none(),
        "{}",
        outcome.stdout
    );
    assert!(["history_from", "think_time"].iter().all(|key| report["workload"].get(*key).is_none()));
    Ok(())
}

fn live() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with(CACHING));
    let (url, tokenizer, dataset) =
        (engine.url(), fixture("tokenizer.json"), format!("sessions:{}", fixture("sharegpt.json")));
    let flags = [&flags(&url, &tokenizer, &dataset)[..], &["--num-prompts", "20", "--save-requests", "requests.jsonl"]]
        .concat();
    package.run(&flags, &[]).expect(0)?;
    engine.take_truths();
    std::fs::remove_file(package.path("requests.jsonl"))?;
    let outcome = package.run(&[&flags[..], &["--history-from", "server"]].concat(), &[]);
    outcome.expect(0)?;
    let report = package.report("sessions-sharegpt/c3");
    assert_eq!(report["workload"]["history_from"], "server");
    let words = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("history_from server, was recorded"), "{words}");
    // Each turn's prompt holds what went before and the answer to it.
    let lines = lines(&package, engine.take_truths());
    let mut pairs = 0;
    for pair in lines.windows(2).filter(|pair| pair[1].0["turn"] != 0) {
        let before = pair[0].1.prompt_tokens + pair[0].1.token_ns.len() as u32;
        assert!(pair[1].1.prompt_tokens > before, "{} {before}", pair[1].1.prompt_tokens);
        pairs += 1;
    }
    assert!(pairs > 10, "{pairs}");
    Ok(())
}

/// Conversations, and the pauses between their turns, as they were drawn when the file was laid down.
fn golden() -> Result<(), Failed> {
    let (package, dataset) = (Package::new(""), format!("sessions:{}", fixture("sharegpt.json")));
    let file = package.path("workload.jsonl");
    let workload = [
        "--dataset",
        &dataset,
        "--num-prompts",
        "12",
        "--seed",
        "5",
        "--min-turns",
        "3",
        "--think-time",
        "lognormal(2,0.5)",
    ];
    package.run(&[&["--bench", "--dump-workload", file.to_str().unwrap()], &workload[..]].concat(), &[]).expect(0)?;
    let golden = std::fs::read_to_string(fixture("golden/sessions.jsonl"))?;
    let drawn = std::fs::read_to_string(file)?;
    for (drawn, expected) in drawn.lines().zip(golden.lines()) {
        assert_eq!(drawn, expected);
    }
    assert_eq!(drawn.lines().count(), golden.lines().count());
    Ok(())
}

fn wrong() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with(""));
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let aiperf = r#"{"session_id": "a", "turns": [{"text": "Hi", "max_tokens": 3}, {"text": "And?", "max_tokens": 3, "delay": 5}]}"#;
    std::fs::write(package.path("aiperf.jsonl"), format!("{aiperf}\n{aiperf}\n"))?;
    std::fs::write(
        package.path("short.json"),
        r#"[{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}]"#,
    )?;
    std::fs::write(package.path("other.json"), r#"[{"text": "Hi"}]"#)?;
    std::fs::write(package.path("line.jsonl"), "{\"turns\": []}\n{\"turns\":\n")?;
    for (dataset, more, expected) in [
        (
            "sessions:aiperf.jsonl",
            "recorded",
            "have no answers: use --history-from server to send the server's own instead",
        ),
        (
            "sessions:short.json",
            "recorded",
            "none of its 1 conversations has 2 user turns with an answer each: lower --min-turns",
        ),
        ("sessions:other.json", "recorded", "none of its 1 elements has a list `conversations` or `messages`"),
        ("sessions:line.jsonl", "recorded", "line 2: it is not JSON"),
        ("sessions:missing.json", "recorded", "missing.json"),
        ("sessions:aiperf.jsonl", "nobody", "`nobody` is neither recorded nor server"),
    ] {
        let flags = [&flags(&url, &tokenizer, dataset)[..], &["--num-prompts", "3", "--history-from", more]].concat();
        let outcome = package.run(&flags, &[]);
        assert!(outcome.code != 0 && outcome.stderr.contains(expected), "{expected}: {}", outcome.stderr);
    }
    let flags =
        [&flags(&url, &tokenizer, "sessions:aiperf.jsonl")[..], &["--num-prompts", "3", "--history-from", "server"]]
            .concat();
    let outcome = package.run(&flags, &[]);
    outcome.expect(0)?;
    // Two turns, and one of the second session.
    let report = package.report("sessions-aiperf/c3");
    assert_eq!(report["passes"][0]["conversations"]["started"], 2);
    Ok(())
}

fn groups() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with(CACHING));
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let flags = [
        &flags(&url, &tokenizer, "prefix:2:160:20:4")[..],
        &["--num-prompts", "12", "--save-requests", "requests.jsonl"],
    ]
    .concat();
    for more in [&[][..], &["--cache-bust"]] {
        engine.take_truths();
        let outcome = package.run(&[&flags[..], more].concat(), &[]);
        outcome.expect(0)?;
        let report = package.report("prefix-2-160-20-4/c3");
        let truths = engine.take_truths();
        let cached =
            truths.iter().filter(|truth| truth.request_id.contains("-p") && truth.cached_tokens >= 144).count();
        // All but the first of each group in each pass; those that come at the same time may miss it.
        assert!((16..=20).contains(&cached), "{cached} of {}", truths.len());
        let ideal = report["passes"][0]["ideal_cached_share"].as_f64().unwrap();
        let tokens = if more.is_empty() { (1600.0, 12.0 * 180.0) } else { (1680.0, 12.0 * 188.0) };
        assert!((ideal - tokens.0 / tokens.1).abs() < 1e-9, "{ideal}");
        let printed = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(printed.contains("% of prompt tokens came from the server's cache, of "), "{printed}");
    }
    Ok(())
}
