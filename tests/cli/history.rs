//! Runs across commits.

use std::{path::Path, process::Command};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::package::{Outcome, Package};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("history/a_commit_is_a_baseline", commits),
        Trial::test("history/a_shallow_clone_finds_the_commit_before", shallow),
        Trial::test("history/without_git_a_hash_will_do", without_git),
        Trial::test("history/a_torn_line_is_skipped", torn),
        Trial::test("history/runs_at_once_lose_nothing", at_once),
    ]
}

/// A tiny run of the embedded engine, as fast as it goes.
pub const TINY: [&str; 13] = [
    "--bench",
    "--quiet",
    "--concurrency",
    "2",
    "--num-prompts",
    "4",
    "--sample-size",
    "2",
    "--max-tokens",
    "4",
    "--engine",
    "decode_step_ms=0.1",
    "--color=never",
];

pub fn run(package: &Package, flags: &[&str]) -> Outcome {
    package.run(&[&TINY[..], flags].concat(), &[])
}

/// Runs git as nobody in particular.
fn git(folder: &Path, args: &[&str]) -> Result<String, Failed> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"])
        .args(args)
        .output()?;
    if !output.status.success() {
        return Err(format!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A repository of three commits, each of them measured; the history is part of it.
fn repository() -> Result<(Package, Vec<String>), Failed> {
    let package = Package::new("history = \"bench/history.jsonl\"\n");
    let root = package.path("");
    git(&root, &["init", "--quiet", "--initial-branch=main"])?;
    std::fs::write(package.path(".gitignore"), "target\n")?;
    let mut shas = Vec::new();
    for i in 0..3 {
        std::fs::write(package.path("server.conf"), format!("batch = {i}\n"))?;
        git(&root, &["add", "--all"])?;
        git(&root, &["commit", "--quiet", "--message", &format!("{i}")])?;
        shas.push(git(&root, &["rev-parse", "HEAD"])?);
        run(&package, &[]).expect(0)?;
    }
    Ok((package, shas))
}

fn against(outcome: &Outcome, expected: &str) -> Result<(), Failed> {
    outcome.expect(0)?;
    assert!(outcome.stdout.contains(expected), "{expected:?} is missing in\n{}\n{}", outcome.stdout, outcome.stderr);
    Ok(())
}

fn commits() -> Result<(), Failed> {
    let (package, shas) = repository()?;
    let root = package.path("");
    let lines = std::fs::read_to_string(package.path("bench/history.jsonl"))?;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Behind each run but the first, its verdicts.
    let (verdicts, lines): (Vec<Value>, Vec<Value>) =
        lines.into_iter().partition(|line| line["verdicts_of"].is_string());
    assert_eq!((lines.len(), verdicts.len()), (3, 2));
    for (line, before) in verdicts.iter().zip(&lines) {
        assert_eq!(line["comparison"]["baseline_started_at"], before["started_at"]);
    }
    for (line, sha) in lines.iter().zip(&shas) {
        assert_eq!((&line["id"], &line["commit"]["sha"]), (&"sharegpt/c2".into(), &sha.as_str().into()));
        // The history is tracked and changed by each run; that makes no tree dirty.
        assert_eq!((&line["commit"]["dirty"], &line["commit"]["branch"]), (&false.into(), &"main".into()));
        assert_eq!(line["passes"].as_array().unwrap().len(), 2);
        assert!(line["estimates"]["rpm"]["lower"].is_number() && line["workload"]["digest"].is_string());
        assert_eq!(line["comparison"], Value::Null);
    }
    let before = format!("against commit:HEAD~1 ({})", &shas[1][..8]);
    against(&run(&package, &["--baseline", "commit:HEAD~1"]), &before)?;
    // A dirty tree is not the commit: its run is recorded as such, and the clean one is the commit's.
    std::fs::write(package.path("server.conf"), "batch = 99\n")?;
    against(&run(&package, &["--baseline", "commit:HEAD~1"]), &before)?;
    against(&run(&package, &["--baseline", "commit:HEAD"]), &format!("against commit:HEAD ({})", &shas[2][..8]))?;
    let outcome = run(&package, &["--baseline", "commit:main~2"]);
    against(&outcome, &format!("against commit:main~2 ({})", &shas[0][..8]))?;

    // A commit that was never measured: the nearest before it that was.
    git(&root, &["commit", "--quiet", "--all", "--message", "not measured"])?;
    let unmeasured = git(&root, &["rev-parse", "HEAD"])?;
    let outcome = run(&package, &["--baseline", "commit:HEAD"]);
    against(&outcome, &format!("against commit:HEAD ({})", &shas[2][..8]))?;
    let note = format!("{} was not measured: {} is its nearest ancestor that was", &unmeasured[..8], &shas[2][..8]);
    let printed = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains(&note), "{note:?} is missing in\n{printed}");

    // No such commit, and no run that could serve.
    let outcome = run(&package, &["--baseline", "commit:nowhere"]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("commit:nowhere: git does not know this commit"), "{}", outcome.stderr);
    let outcome = run(&package, &["--baseline", "commit:HEAD~1", "--history", "other.jsonl"]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("other.jsonl has no run of sharegpt/c2"), "{}", outcome.stderr);
    run(&package, &["--baseline-lenient", "commit:nowhere"]).expect(0)?;

    // The listing: a line a commit, the dirty one marked.
    let outcome = package.run(&["--show-history", "--concurrency", "2"], &[]);
    outcome.expect(0)?;
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "sharegpt/c2: output_tokens_per_s, tokens/s, higher is better");
    assert!(lines[1].starts_with(&format!("  {}  20", &shas[0][..8])), "{}", outcome.stdout);
    assert!(lines.iter().any(|line| line.starts_with(&format!("  {}+ 20", &shas[2][..8]))), "{}", outcome.stdout);
    let words = ["no change", "inconclusive", "regressed", "improved"];
    let words = words.map(|word| if word == "inconclusive" { word.to_owned() } else { format!("{word}, provisional") });
    assert!(words.iter().any(|word| lines[2].ends_with(word)), "{}", outcome.stdout);
    // The verdict is the one that the run was given.
    let given = verdicts[0]["comparison"]["metrics"]["output_tokens_per_s"]["verdict"].as_str().unwrap();
    assert!(lines[2].contains(&given.replace('_', " ")), "{given}: {}", outcome.stdout);
    let outcome = package.run(&["--show-history=ttft_p50", "--concurrency", "2"], &[]);
    assert!(outcome.stdout.starts_with("sharegpt/c2: ttft_p50, time, lower is better\n"), "{}", outcome.stdout);
    Ok(())
}

fn shallow() -> Result<(), Failed> {
    let (package, shas) = repository()?;
    let root = package.path("");
    // What CI checks out: the newest commit alone, and the history from a cache.
    let clone = Package::new("");
    let url = format!("file://{}", root.display());
    git(&clone.path(""), &["clone", "--quiet", "--depth=1", &url, "clone"])?;
    let history = package.path("bench/history.jsonl").display().to_string();
    let folder = clone.path("clone").display().to_string();
    let run = |revision: &str| {
        let flags = [&TINY[..], &["--history", &history, "--baseline", revision]].concat();
        clone.run(&flags, &[("CARGO_MANIFEST_DIR", &folder)])
    };
    against(&run("commit:HEAD~1"), &format!("against commit:HEAD~1 ({})", &shas[1][..8]))?;
    against(&run("commit:HEAD^"), &format!("against commit:HEAD^ ({})", &shas[1][..8]))?;
    against(&run(&format!("commit:{}", &shas[0][..10])), &format!("({})", &shas[0][..8]))?;
    let outcome = run("commit:HEAD~2");
    outcome.expect(101)?;
    let hint = "this clone is shallow: `git fetch --deepen=10` fetches more commits";
    assert!(outcome.stderr.contains(hint), "{}", outcome.stderr);
    Ok(())
}

fn without_git() -> Result<(), Failed> {
    let (package, shas) = repository()?;
    let run = |flags: &[&str]| package.run(&[&TINY[..], flags].concat(), &[("PATH", "")]);
    let outcome = run(&["--baseline", "commit:HEAD~1"]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("git is not available to look up this commit"), "{}", outcome.stderr);
    against(&run(&["--baseline", &format!("commit:{}", &shas[1][..7])]), &format!("({})", &shas[1][..8]))?;
    assert_eq!(package.report("sharegpt/c2")["commit"], Value::Null);

    // No repository either.
    let outside = Package::new("");
    let history = package.path("bench/history.jsonl").display().to_string();
    let outcome = outside.run(&[&TINY[..], &["--history", &history, "--baseline", "commit:HEAD~1"]].concat(), &[]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("this is not a git repository"), "{}", outcome.stderr);
    Ok(())
}

fn torn() -> Result<(), Failed> {
    let (package, shas) = repository()?;
    let path = package.path("bench/history.jsonl");
    let mut text = std::fs::read_to_string(&path)?;
    // Without the verdicts of the third run, and within its line.
    let last = text.trim_end().rfind("\n{\"verdicts_of\"").unwrap();
    let last = text[..last].rfind('\n').unwrap();
    text.truncate(last + 200);
    std::fs::write(&path, &text)?;
    // The third commit's line is torn; what was whole still serves, and the next line stands by itself.
    let outcome = run(&package, &["--baseline", "commit:HEAD~1"]);
    against(&outcome, &format!("against commit:HEAD~1 ({})", &shas[1][..8]))?;
    assert!(outcome.stderr.contains("history.jsonl line 4 is skipped"), "{}", outcome.stderr);
    let text = std::fs::read_to_string(&path)?;
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert_eq!((text.lines().count(), whole), (6, 5));
    Ok(())
}

fn at_once() -> Result<(), Failed> {
    let package = Package::new("");
    let history = package.path("shared.jsonl").display().to_string();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|i| {
                let (package, history) = (&package, &history);
                // Target directories of their own: within one, runs take turns.
                let target = package.path(&format!("target-{i}")).display().to_string();
                scope.spawn(move || {
                    package
                        .run(&[&TINY[..], &["--history", history]].concat(), &[("CARGO_TARGET_DIR", &target)])
                        .expect(0)
                })
            })
            .collect();
        runs.into_iter().try_for_each(|run| run.join().unwrap())
    })?;
    let text = std::fs::read_to_string(&history)?;
    assert_eq!(text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 6);
    assert_eq!(text.lines().count(), 6);
    Ok(())
}
