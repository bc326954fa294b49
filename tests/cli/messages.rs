//! What people are told, and what their words are taken for.

use libtest_mimic::{Failed, Trial};

use crate::package::{Package, engine, fixture, live};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("messages/what_is_missing_is_told_together", missing),
        Trial::test("messages/a_first_live_run_is_not_compared_with_the_engine", first_live_run),
        Trial::test("messages/embedded_chooses_the_engine_over_the_file", embedded),
        Trial::test("messages/benchmarks_run_in_the_files_order", order),
        Trial::test("messages/another_workload_is_told_in_words", another_workload),
        Trial::test("messages/a_run_that_is_not_kept_can_be_compared", not_kept),
        Trial::test("messages/an_empty_key_is_refused", empty_key),
        Trial::test("messages/help_names_the_target", help),
        Trial::test("messages/a_relative_target_directory_is_found_in_a_workspace", relative_target),
        Trial::test("messages/a_line_of_each_file_names_its_positions", positions),
    ]
}

fn missing() -> Result<(), Failed> {
    let package = Package::new("server = \"127.0.0.1:1\"\nwait_ready = 60\n");
    // What stands in no file is asked for at once, too.
    let outcome = package.run(&["--bench"], &[]);
    outcome.expect(2)?;
    for expected in ["--dataset: a live server needs prompts", "and give --tokenizer its tokenizer.json"] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    let outcome = package.run(&["--bench", "--dataset", "d.json", "--tokenizer", "t.json"], &[]);
    outcome.expect(101)?;
    let expected = [
        "error: sharegpt/c64: cannot read the dataset d.json: No such file or directory",
        "error: sharegpt/c64: cannot load the tokenizer t.json: no such file or folder",
        "error: sharegpt/c64: cannot reach the server http://127.0.0.1:1: Connection refused",
        "with --server embedded",
    ];
    for expected in expected {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    Ok(())
}

fn first_live_run() -> Result<(), Failed> {
    let package = Package::new("");
    let simulated = ["--bench", "--num-prompts", "12", "--sample-size", "2", "--concurrency", "2", "--max-tokens", "9"];
    package.run(&simulated, &[]).expect(0)?;
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let outcome = package.run(&[live(&url, &dataset, &tokenizer), vec!["--concurrency", "2"]].concat(), &[]);
    outcome.expect(0)?;
    for word in ["different server", "not comparable", "against"] {
        assert!(!outcome.stdout.contains(word), "{}", outcome.stdout);
    }
    Ok(())
}

fn embedded() -> Result<(), Failed> {
    let package = Package::new("server = \"127.0.0.1:1\"\nnum_prompts = 4\nsample_size = 1\nconcurrency = 2\n");
    package.run(&["--bench"], &[]).expect(2)?;
    package.run(&["--bench", "--server", "embedded"], &[]).expect(0)?;
    assert_eq!(package.report("sharegpt/c2")["server"]["embedded"], true);
    Ok(())
}

fn order() -> Result<(), Failed> {
    let names = ["zebra", "apple", "mango"];
    let config = names.map(|name| format!("[workload.{name}]\ndataset = \"random:4:4\"\nconcurrency = 8\n")).concat();
    let outcome = Package::new(&config).run(&["--list", "--format", "terse"], &[]);
    outcome.expect(0)?;
    assert_eq!(outcome.stdout, names.map(|name| format!("{name}/c8: benchmark\n")).concat());
    Ok(())
}

fn another_workload() -> Result<(), Failed> {
    let package = Package::new("engine = \"decode_step_ms=0.1\"\n");
    let run = |flags: &[&str]| {
        let standing = ["--bench", "--sample-size", "2", "--concurrency", "2", "--dataset", "random:8:8"];
        package.run(&[&standing, flags].concat(), &[])
    };
    run(&["--num-prompts", "6"]).expect(0)?;
    let outcome = run(&["--num-prompts", "5"]);
    outcome.expect(0)?;
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    let printed = words.join(" ");
    assert!(printed.contains("different workload: num_prompts 5, was 6"), "{}", outcome.stdout);
    assert!(!printed.contains("sha256"), "{}", outcome.stdout);
    // What has no field of its own is told by its name, too.
    run(&["--num-prompts", "5", "--extra-body", "{\"min_p\": 0.1}"]).expect(0)?;
    let outcome = run(&["--num-prompts", "5", "--extra-body", "{\"min_p\": 0.2}"]);
    outcome.expect(0)?;
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    let printed = words.join(" ");
    assert!(
        printed.contains("different workload: extra_body {\"min_p\":0.2}, was {\"min_p\":0.1}"),
        "{}",
        outcome.stdout
    );
    Ok(())
}

fn not_kept() -> Result<(), Failed> {
    let package = Package::new("engine = \"decode_step_ms=0.1\"\n");
    let flags = ["--bench", "--num-prompts", "4", "--sample-size", "2", "--concurrency", "2"];
    package.run(&[&flags[..], &["--save-baseline", "main"]].concat(), &[]).expect(0)?;
    let outcome = package.run(&[&flags[..], &["--baseline", "main", "--discard-baseline"]].concat(), &[]);
    outcome.expect(0)?;
    assert!(outcome.stdout.contains("against main"), "{}", outcome.stdout);
    let history = std::fs::read_to_string(package.path("target/tachometer/history.jsonl"))?;
    assert_eq!(history.lines().count(), 1);
    Ok(())
}

fn empty_key() -> Result<(), Failed> {
    let engine = engine();
    let (url, dataset, tokenizer) = (engine.url(), fixture("sharegpt.json"), fixture("tokenizer.json"));
    let flags = [live(&url, &dataset, &tokenizer), vec!["--api-key-env", "EMPTY_KEY"]].concat();
    let outcome = Package::new("").run(&flags, &[("EMPTY_KEY", "")]);
    outcome.expect(2)?;
    assert!(outcome.stderr.contains("--api-key-env: the variable EMPTY_KEY is empty"), "{}", outcome.stderr);
    assert_eq!(engine.take_truths().len(), 0);
    Ok(())
}

fn help() -> Result<(), Failed> {
    let outcome = Package::new("").run(&["--help"], &[]);
    outcome.expect(0)?;
    // This test executable is the target.
    assert!(outcome.stdout.contains("Usage: cargo bench --bench cli -- [OPTIONS] [FILTER]"), "{}", outcome.stdout);
    Ok(())
}

/// cargo does not tell from where the relative folder is meant.
fn relative_target() -> Result<(), Failed> {
    let package = Package::new("");
    let member = package.path("member");
    std::fs::create_dir_all(&member)?;
    let deps = package.path("built/release/deps");
    std::fs::create_dir_all(&deps)?;
    std::fs::write(package.path("built/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55")?;
    let executable = deps.join("serving-0123456789abcdef");
    std::fs::copy(std::env::current_exe()?, &executable)?;
    let flags = ["--bench", "--num-prompts", "2", "--sample-size", "1", "--concurrency", "1"];
    let variables = [("CARGO_TARGET_DIR", "built"), ("CARGO_MANIFEST_DIR", member.to_str().unwrap())];
    package.run_as(&executable, &member, &flags, &variables).expect(0)?;
    assert!(package.path("built/tachometer/sharegpt/c1/new/report.json").is_file());
    assert!(!member.join("built").exists());
    Ok(())
}

fn positions() -> Result<(), Failed> {
    let package = Package::new("engine = \"decode_step_ms=0.1\"\n");
    let flags = ["--bench", "--dataset", &fixture("sharegpt.json"), "--num-prompts", "3", "--sample-size", "1", "c8"];
    package.run(&[&flags[..], &["--dump-workload", "workload.jsonl"]].concat(), &[]).expect(0)?;
    package.run(&[&flags[..], &["--save-requests", "requests.jsonl"]].concat(), &[]).expect(0)?;
    let keys = |file: &str| -> Result<Vec<String>, Failed> {
        let text = std::fs::read_to_string(package.path(file))?;
        let line: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text.lines().next().unwrap_or_default())?;
        Ok(line.keys().cloned().collect())
    };
    let (dumped, saved) = (keys("workload.jsonl")?, keys("requests.jsonl")?);
    let has = |keys: &[String], key: &str| keys.iter().any(|k| k == key);
    // The place in the dataset, and the place in the pass.
    assert!(has(&dumped, "conversation") && !has(&dumped, "index"), "{dumped:?}");
    assert!(has(&saved, "index") && !has(&saved, "conversation"), "{saved:?}");
    Ok(())
}
