//! What a server counts itself, beside what the client has measured.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use tachometer::{client::Client, dataset::Prompt};

use crate::package::{Outcome, Package, engine_with, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("scrape/the_servers_counters_agree_with_the_client", agree),
        Trial::test("scrape/another_client_is_noticed", another),
        Trial::test("scrape/pages_that_are_none_disturb_nothing", none),
        Trial::test("scrape/a_page_that_can_not_be_is_refused", refused),
        Trial::test("scrape/what_is_asked_for_by_name_is_a_metric", rows),
    ]
}

fn run(package: &Package, url: &str, more: &[&str]) -> Outcome {
    let tokenizer = fixture("tokenizer.json");
    let server =
        ["--bench", "--server", url, "--tokenizer", &tokenizer, "--dataset", "random:20:6", "--num-prompts", "12"];
    let load = ["--concurrency", "3", "--sample-size", "2", "--warmup", "2"];
    package.run(&[&server[..], &load, more].concat(), &[])
}

fn pass_metrics(package: &Package) -> Vec<(Value, Value)> {
    let report = package.report("random-20-6/c3");
    report["passes"].as_array().unwrap().iter().map(|pass| (pass.clone(), pass["server_metrics"].clone())).collect()
}

fn unwrapped(outcome: &Outcome) -> String {
    outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn agree() -> Result<(), Failed> {
    // Slow enough for a reading in mid-pass, by the clock of the server's steps.
    let (package, engine) = (Package::new(""), engine_with("decode_step_ms=100,prefix_cache=true,block_tokens=1"));
    let outcome = run(&package, &engine.url(), &["--stream", "true"]);
    outcome.expect(0)?;
    for (pass, metrics) in pass_metrics(&package) {
        assert_eq!(metrics["server"], "tachometer's engine");
        for of in ["prompt_tokens", "cached_tokens"] {
            assert_eq!((of, &metrics[of]), (of, &pass[of]));
        }
        assert_eq!(
            (&metrics["generated_tokens"], &metrics["tokens_of_others"]),
            (&pass["output_tokens"], &Value::Null)
        );
        assert_eq!(metrics["restarted"], false);
        assert!(metrics["readings"].as_u64() > Some(0) && metrics["running"]["max"].as_f64() <= Some(3.0), "{metrics}");
    }
    assert!(
        unwrapped(&outcome).contains("by its own metrics (tachometer's engine) the server had "),
        "{}",
        outcome.stdout
    );
    run(&package, &engine.url(), &["--metrics", "off"]).expect(0)?;
    assert!(pass_metrics(&package).iter().all(|(_, metrics)| metrics.is_null()));
    Ok(())
}

fn another() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with("decode_step_ms=20,instance_num=64"));
    run(&package, &engine.url(), &[]).expect(0)?;
    let (url, over) = (engine.url(), Arc::new(AtomicBool::new(false)));
    let seen = over.clone();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(Client::connect(&url, "tachometer-engine").await.unwrap());
            }
            while !seen.load(Ordering::SeqCst) {
                let prompt = Prompt::new("somebody else", 20);
                futures_util::future::join_all(clients.iter_mut().map(|client| client.send(&prompt))).await;
            }
        });
    });
    let outcome = run(&package, &engine.url(), &["--metrics", &format!("{}/metrics", engine.url())]);
    over.store(true, Ordering::SeqCst);
    other.join().unwrap();
    outcome.expect(0)?;
    let printed = unwrapped(&outcome);
    for expected in [
        "SOMEBODY ELSE used the server: it generated ",
        "somebody else used the server during the passes of this run: it generated ",
    ] {
        assert!(printed.contains(expected), "{expected}: {}", outcome.stdout);
    }
    let comparison = &package.report("random-20-6/c3")["comparison"];
    assert_eq!((&comparison["comparable"], &comparison["another_question"]), (&false.into(), &false.into()));
    Ok(())
}

const ANSWER: &str = r#"{"choices":[{"message":{"content":"A"},"finish_reason":"length"}],"usage":{"completion_tokens":6,"prompt_tokens":20}}"#;

/// A server whose page of metrics is this one, by how often it was asked for; `None` for no answer at all.
fn serve(page: impl Fn(usize) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (page, asked) = (Arc::new(page), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, page, asked) = (stream.unwrap(), page.clone(), asked.clone());
            std::thread::spawn(move || connection(stream, &*page, &asked));
        }
    });
    url
}

fn connection(mut stream: TcpStream, page: &dyn Fn(usize) -> Option<String>, asked: &AtomicUsize) {
    let mut buffer = [0; 1 << 16];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        let request = String::from_utf8_lossy(&buffer[..n]);
        let body = match request.split(' ').nth(1) {
            Some("/metrics") => match page(asked.fetch_add(1, Ordering::SeqCst)) {
                Some(page) => page,
                None => return std::thread::sleep(Duration::from_secs(60)),
            },
            Some("/v1/models") => r#"{"data": [{"id": "m"}]}"#.to_owned(),
            Some("/v1/chat/completions") => ANSWER.to_owned(),
            _ => {
                _ = stream.write_all(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n");
                continue;
            }
        };
        let head =
            format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn none() -> Result<(), Failed> {
    let counter = |tokens: usize| Some(format!("vllm:generation_tokens_total {tokens}\nvllm:num_requests_running 1\n"));
    // What is there at the start, and what of the passes is known.
    let pages: [(&str, Box<dyn Fn(usize) -> Option<String> + Send + Sync>, Option<bool>); 5] = [
        ("no page", Box::new(|_| Some("<html>".to_owned())), None),
        ("no answer", Box::new(|_| None), None),
        ("too long", Box::new(|_| Some("a 1\n".repeat(3 << 20))), None),
        // Twelve requests of six tokens a pass; it is asked once before the first.
        ("vanishes", Box::new(move |n| if n == 0 { counter(0) } else { Some("gone".to_owned()) }), None),
        ("falls", Box::new(move |n| counter(if n == 0 { 9_000 } else { 9_000 - 10 * n })), Some(true)),
    ];
    for (name, page, restarted) in pages {
        let package = Package::new("");
        let outcome = run(&package, &serve(page), &["--timeout", "5"]);
        outcome.expect(0)?;
        for (pass, metrics) in pass_metrics(&package) {
            assert_eq!((name, &pass["completed"], metrics["restarted"].as_bool()), (name, &12.into(), restarted));
        }
        let is_told = unwrapped(&outcome).contains("the server was RESTARTED in the middle of a pass");
        assert_eq!(is_told, restarted.is_some(), "{name}: {}", outcome.stdout);
    }
    Ok(())
}

fn rows() -> Result<(), Failed> {
    // Slow enough for a reading in mid-pass, by the clock of the server's steps.
    let (package, engine) = (Package::new(""), engine_with("decode_step_ms=100"));
    let gpu = |n: usize| {
        format!(
            "DCGM_FI_DEV_POWER_USAGE{{gpu=\"0\"}} 300\nDCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu=\"0\"}} {}\n",
            n * 1000
        )
    };
    let gpus = serve(move |n| Some(gpu(n)));
    let pages = ["--stream", "true", "--gpu-metrics", &format!("{gpus}/metrics")].map(str::to_owned);
    let wanted = ["engine_requests_running", "higher:rate:engine_tokens_generated_total", "rate:gone"];
    let flags = [&pages[..], &["--scrape".to_owned(), wanted.join(",")]].concat();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let outcome = run(&package, &engine.url(), &flags);
    outcome.expect(0)?;
    assert!(outcome.stderr.contains("--scrape: no page has a metric gone so far"), "{}", outcome.stderr);
    let report = package.report("random-20-6/c3");
    for pass in report["passes"].as_array().unwrap() {
        let of = |name: &str| pass["scraped"][name].as_f64();
        let running = of("engine_requests_running").unwrap();
        assert!(running > 0.0 && running <= 3.0, "{running}");
        // Pages are read just before and after.
        let rate = of("higher:rate:engine_tokens_generated_total").unwrap();
        assert!(rate > 0.0 && Some(rate) < pass["output_tokens_per_s"].as_f64(), "{rate}");
        assert_eq!((of("rate:gone"), &pass["gpu"]["power_w"]["max"]), (None, &300.0.into()));
        assert!(pass["gpu"]["energy_j"].as_f64() > Some(0.0), "{}", pass["gpu"]);
    }
    let estimates = &report["estimates"];
    for (name, better) in [
        ("scrape:engine_requests_running", "lower"),
        ("scrape:higher:rate:engine_tokens_generated_total", "higher"),
        ("joules_per_output_token", "lower"),
    ] {
        assert_eq!(estimates[name]["better"], better, "{name}: {estimates}");
    }
    let printed = unwrapped(&outcome);
    for expected in [
        " engine_requests_running",
        " engine_tokens_generated_total a second",
        " J per output token",
        "1 GPU: 300 W, 300 W at most",
    ] {
        assert!(printed.contains(expected), "{expected}: {}", outcome.stdout);
    }
    // A run that is only to show that it works has no page, and nothing to say of that.
    let tiny = package.run(&["--test", "--scrape", "a"], &[]);
    tiny.expect(0)?;
    assert_eq!(tiny.stderr, "");
    // In the gate, one that is not there is no pass.
    let gate = [&flags[..], &["--gate", "scrape:rate:gone", "--fail-on", "regression"]].concat();
    let outcome = run(&package, &engine.url(), &gate);
    outcome.expect(3)?;
    assert!(unwrapped(&outcome).contains("scrape:rate:gone"), "{}", outcome.stdout);
    for (flags, expected) in [
        (&["--scrape", "a b"][..], "`a b` names no metric"),
        (&["--scrape", "a", "--metrics", "off"], "--scrape: it reads metrics pages, and --metrics off turns them off"),
        (&["--gpu-metrics", "here"], "--gpu-metrics: `here` is not an http URL such as http://127.0.0.1:9400/metrics"),
    ] {
        let outcome = run(&package, &engine.url(), flags);
        assert!(outcome.code == 2 && outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let (package, engine) = (Package::new(""), engine_with(""));
    for (page, expected) in [("nowhere", "`nowhere` is neither an http URL nor off"), ("http://127.0.0.1:1/x", "")] {
        let outcome = run(&package, &engine.url(), &["--metrics", page]);
        match expected {
            // Nothing is there: the run goes on without it.
            "" => {
                outcome.expect(0)?;
                assert!(
                    outcome.stderr.contains("no server metrics could be read at http://127.0.0.1:1/x"),
                    "{}",
                    outcome.stderr
                );
            }
            _ => assert!(outcome.code != 0 && outcome.stderr.contains(expected), "{}", outcome.stderr),
        }
    }
    Ok(())
}
