//! Nothing measured is lost, and nothing foreign gets in.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    limits::quick,
    package::{Package, engine, fixture, refusing},
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("kept/a_closed_pipe_or_a_full_screen_costs_no_result", screens),
        Trial::test("kept/every_file_is_tried", every_file),
        Trial::test("kept/runs_of_different_servers_are_apart", two_servers),
        Trial::test("kept/a_dataset_scan_can_be_interrupted", interrupted_scan),
        Trial::test("kept/an_endless_list_of_models_is_bounded", endless_list),
        Trial::test("kept/control_characters_of_servers_and_files_act_nowhere", control_characters),
    ]
}

fn screens() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    for format in ["criterion", "bencher", "json", "bmf"] {
        let package = Package::new("");
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut screens = vec![Stdio::from(writer)];
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            screens.push(full.into());
        }
        let mut runs = 0;
        for screen in screens {
            let flags = [quick(&url, &tokenizer), vec!["--output-format", format]].concat();
            // The last of two `--concurrency` would be refused: the list stands in place of the number.
            let flags: Vec<&str> = flags.iter().map(|flag| if *flag == "2" { "1,2" } else { flag }).collect();
            let outcome = package.run_onto(screen, &flags);
            outcome.expect(101)?;
            assert!(outcome.stderr.contains("cannot write the results"), "{format}: {}", outcome.stderr);
            runs += 1;
            for load in ["c1", "c2"] {
                let report = package.report(&format!("random-8-8/{load}"));
                assert_eq!(report["passes"][0]["completed"], 60, "{format}");
                assert_eq!(report["comparison"].is_object(), runs > 1, "{format}");
                let criterion = package.path(&format!("target/criterion/random-8-8_{load}/pass/new/estimates.json"));
                assert!(criterion.exists(), "{format}");
            }
            let lines = |name: &str| {
                let text = std::fs::read_to_string(package.path("target/tachometer").join(name)).unwrap();
                text.lines().filter(|line| !line.contains("verdicts_of")).count()
            };
            assert_eq!((lines("history.jsonl"), lines("profile_api_server.csv")), (2 * runs, 1 + 2 * runs), "{format}");
        }
    }
    Ok(())
}

/// One place after another can't be written, and everything else is.
fn every_file() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let files = [
        "tachometer/random-8-8/c2/new/report.json",
        "tachometer/history.jsonl",
        "tachometer/profile_api_server.csv",
        "criterion/random-8-8_c2/pass/new/estimates.json",
        "requests.jsonl",
    ];
    for taken in files {
        let package = Package::new("");
        // A folder where a file should be.
        std::fs::create_dir_all(package.path("target").join(taken).join("x"))?;
        let requests = package.path("target/requests.jsonl").display().to_string();
        let outcome = package.run(&[quick(&url, &tokenizer), vec!["--save-requests", &requests]].concat(), &[]);
        outcome.expect(101)?;
        let name = taken.rsplit('/').next().unwrap();
        // A report that can't be read ends the benchmark before anything is measured.
        if name == "report.json" {
            assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
            continue;
        }
        assert!(outcome.stderr.contains(name), "{taken}: {}", outcome.stderr);
        assert!(outcome.stdout.contains("60 completed"), "{taken}: {}", outcome.stdout);
        for other in files.iter().filter(|file| **file != taken) {
            assert!(package.path("target").join(other).is_file(), "{other} is missing where {taken} can't be written");
        }
    }
    Ok(())
}

fn two_servers() -> Result<(), Failed> {
    let tokenizer = fixture("tokenizer.json");
    let package = Package::new("");
    let (one, other) = (engine(), engine());
    let run = |url: &str| package.run(&quick(url, &tokenizer), &[]);
    let compared = || package.report("random-8-8/c2")["comparison"].clone();
    run(&one.url()).expect(0)?;
    let first = package.report("random-8-8/c2")["started_at"].clone();
    let outcome = run(&other.url());
    outcome.expect(0)?;
    let expected = format!(
        "warning: random-8-8/c2: the last run measured {} for the package tachometer, and there is no run on {}: there \
         is nothing to compare with",
        one.url(),
        other.url()
    );
    assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    assert_eq!(compared(), Value::Null);
    run(&one.url()).expect(0)?;
    let comparison = compared();
    assert_eq!(
        (&comparison["baseline"], &comparison["baseline_started_at"]),
        (&"last run on this server".into(), &first)
    );
    // A busy client has warnings of its own.
    let warnings = comparison["warnings"].as_array().unwrap();
    let told = warnings.iter().any(|line| line.as_str().unwrap().starts_with("the last run measured http://"));
    assert!(told, "{comparison:#}");
    // A member of the workspace that is another package has runs of its own, too.
    let outcome = package.run(&quick(&one.url(), &tokenizer), &[("CARGO_PKG_NAME", "gateway")]);
    outcome.expect(0)?;
    assert_eq!(compared(), Value::Null);
    assert!(outcome.stderr.contains("there is nothing to compare with"), "{}", outcome.stderr);
    Ok(())
}

fn interrupted_scan() -> Result<(), Failed> {
    let engine = engine();
    let (url, tokenizer) = (engine.url(), fixture("tokenizer.json"));
    let package = Package::empty("");
    let words =
        "which of the ships that sail to the north has the longest way and the most to carry on it today ".repeat(4);
    let mut file = std::io::BufWriter::new(File::create(package.path("dataset.json"))?);
    // A debug build has a minute's work with these.
    for i in 0..100_000 {
        let turn = json!({"conversations": [{"value": format!("{i} {words}")}, {"value": format!("{words} {i}")}]});
        write!(file, "{}{turn}", if i == 0 { "[" } else { "," })?;
    }
    write!(file, "]")?;
    drop(file);
    let dataset = package.path("dataset.json").display().to_string();
    let flags: Vec<&str> =
        quick(&url, &tokenizer).into_iter().map(|flag| if flag == "random:8:8" { &*dataset } else { flag }).collect();
    let mut run = package.spawn(&flags);
    run.read_until("drawing 60 prompts")?;
    run.signal(Signal::SIGINT);
    let outcome = run.wait();
    outcome.expect(130)?;
    assert!(outcome.stderr.ends_with("error: interrupted\n"), "{}", outcome.stderr);
    // It did not go on to the end, which leaves an index.
    assert!(!package.path("target/tachometer/index").exists());
    assert_eq!(engine.take_truths().len(), 0);
    Ok(())
}

fn endless_list() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (url, tokenizer) = (listener.local_addr()?.to_string(), fixture("tokenizer.json"));
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counted) = (stream.unwrap(), counted.clone());
            std::thread::spawn(move || {
                _ = stream.read(&mut [0; 1 << 16]);
                _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"data\": [");
                let block = vec![b' '; 1 << 16];
                while let Ok(n) = stream.write(&block) {
                    counted.fetch_add(n, Ordering::Relaxed);
                }
            });
        }
    });
    let outcome = Package::new("").run(&quick(&url, &tokenizer), &[]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("lists no model: name one with --model"), "{}", outcome.stderr);
    // What it read, and what lay in the sockets' buffers.
    assert!(sent.load(Ordering::Relaxed) < 64 << 20, "{} bytes were taken", sent.load(Ordering::Relaxed));
    Ok(())
}

fn control_characters() -> Result<(), Failed> {
    const EVIL: [char; 4] = ['\u{1b}', '\u{9b}', '\u{202e}', '\u{7f}'];
    let clean = |text: &str| assert!(!text.contains(EVIL), "{text:?}");
    let tokenizer = fixture("tokenizer.json");
    // Of a server: its error.
    let url = refusing("404 No", "\u{1b}[2Jgone\u{202e}\u{9b}31m\u{7f}")?;
    let outcome = Package::new("").run(&[quick(&url, &tokenizer), vec!["--model", "m"]].concat(), &[]);
    outcome.expect(101)?;
    clean(&outcome.stderr);
    assert!(outcome.stderr.contains(r"\u{1b}[2Jgone\u{202e}\u{9b}31m\u{7f}"), "{}", outcome.stderr);
    // Of a server: its model and what it says of itself.
    let body = "{\"data\":[{\"id\":\"m\\u001b[31m\",\"owned_by\":\"x\\u202e\"}],\"choices\":[{\"text\":\"a\",\"finish_reason\":\"s\\u001b\"}]}";
    let url = refusing("200 OK\r\ncontent-type: application/json\r\nserver: s\u{9b}", body)?;
    let package = Package::new("");
    let flags = quick(&url, &tokenizer).into_iter().map(|flag| if flag == "true" { "false" } else { flag });
    let flags = [flags.collect(), vec!["--save-requests", "requests.jsonl"]].concat();
    package.run(&flags, &[]).expect(0)?;
    let report = package.path("target/tachometer/random-8-8/c2/new/report.json");
    for file in [&report, &package.path("requests.jsonl"), &package.path("target/tachometer/history.jsonl")] {
        clean(&std::fs::read_to_string(file)?);
    }
    assert_eq!(package.report("random-8-8/c2")["server"]["model"], r"m\u{1b}[31m");
    // Of a file: a baseline from elsewhere, as an escape and as it is.
    let text = std::fs::read_to_string(&report)?;
    for evil in ["x\\u001b[31m\\u202e", "x\u{9b}31m\u{202e}"] {
        let elsewhere = text.replace("\"branch\": null", &format!("\"branch\": \"{evil}\""));
        let elsewhere = elsewhere.replace(r#""owned_by": "x\\u{202e}""#, &format!("\"owned_by\": \"{evil}\""));
        assert_ne!(elsewhere, text);
        std::fs::write(&report, elsewhere)?;
        let outcome = package.run(&flags, &[]);
        outcome.expect(0)?;
        clean(&outcome.stdout);
        clean(&outcome.stderr);
        let printed = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(printed.contains("the baseline's server had x\\u{"), "{printed}");
    }
    Ok(())
}
