//! Two servers measured in turn within one run, and as many passes as it takes.

use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::{
    package::{Package, engine},
    started::{RUN_AS_SERVER, is_gone, none_is_left, package, pids, table},
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("in_turn/two_servers_are_measured", in_turn),
        Trial::test("in_turn/passes_go_on_until_it_is_clear", resolve),
        Trial::test("in_turn/passes_go_on_beside_an_earlier_run", resolve_apart),
        Trial::test("in_turn/exclusive_turns_are_never_up_together", exclusive),
        Trial::test("in_turn/a_revision_is_built_and_measured", revision),
    ]
}

fn in_turn() -> Result<(), Failed> {
    // Four pairs show it on a busy machine, too.
    let tables = table("head", "serve", "decode_step_ms=40", "") + &table("base", "serve", "decode_step_ms=3", "");
    let package = package(&tables);
    let gate = ["--gate", "output_tokens_per_s"];
    let flags = ["--bench", "--against", "base", "--sample-size", "4", "--save-requests", "requests.jsonl"];
    let flags = [&flags[..], &gate].concat();
    let outcome = package.run(&[&flags[..], &["--fail-on", "regression"]].concat(), &[]);
    outcome.expect(3)?;
    for expected in ["sharegpt/c2 on head", "sharegpt/c2 on base", "against base", "regressed, interleaved"] {
        assert!(outcome.stdout.contains(expected), "{expected}: {}", outcome.stdout);
    }
    none_is_left(&package)?;
    // Both sides, with the same prompts.
    let report = package.report("sharegpt/c2");
    let comparison = &report["comparison"];
    assert_eq!((&comparison["design"], &comparison["pairs"]), (&"interleaved".into(), &4.into()));
    assert_eq!(comparison["metrics"]["output_tokens_per_s"]["verdict"], "regressed");
    assert_eq!((&comparison["provisional"], &comparison["processes"]), (&false.into(), &json!([4, 4])));
    assert_eq!((&comparison["pairs_of_processes"], &comparison["sequential"]), (&4.into(), &false.into()));
    let other = std::fs::read_to_string(package.path("target/tachometer/sharegpt/c2/against/report.json"))?;
    let other: Value = serde_json::from_str(&other)?;
    assert_eq!((&other["server"]["name"], &other["commit"]), (&"base".into(), &Value::Null));
    let digests = |report: &Value| {
        report["passes"].as_array().unwrap().iter().map(|pass| pass["digest"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&report), digests(&other));
    // A B, B A, A B, B A.
    let requests = std::fs::read_to_string(package.path("requests.jsonl"))?;
    let mut order: Vec<(Value, Value)> = Vec::new();
    for line in requests.lines() {
        let line: Value = serde_json::from_str(line)?;
        order.push((line["server"].clone(), line["pass"].clone()));
    }
    order.dedup();
    let order: Vec<&str> = order.iter().map(|(server, _)| server.as_str().unwrap()).collect();
    assert_eq!(order, ["head", "base", "base", "head", "head", "base", "base", "head"]);
    let csv = std::fs::read_to_string(package.path("target/tachometer/profile_api_server.csv"))?;
    assert_eq!(csv.lines().count(), 1 + 2 * 4);
    // For critcmp the other side is `base`.
    for slot in ["base", "new"] {
        assert!(package.path("target/criterion/sharegpt_c2/pass").join(slot).join("sample.json").is_file(), "{slot}");
    }
    // Of one process each it is about these two.
    let outcome = package.run(&[&flags[..], &["--instances", "1"]].concat(), &[]);
    outcome.expect(0)?;
    let comparison = &package.report("sharegpt/c2")["comparison"];
    assert_eq!((&comparison["processes"], &comparison["pairs_of_processes"]), (&json!([1, 1]), &Value::Null));
    let words = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("--instances 5 to spread the passes"), "{words}");
    // Two passes a process: the pair of processes is what is repeated.
    package.run(&[&flags[..], &["--instances", "2"]].concat(), &[]).expect(0)?;
    let report = package.report("sharegpt/c2");
    assert_eq!(report["comparison"]["pairs_of_processes"], 2);
    assert_eq!(report["estimates"]["rpm"]["replication"], "process");
    none_is_left(&package)
}

/// Passes go on until it is clear, or the time is spent.
fn resolve() -> Result<(), Failed> {
    let tables = table("head", "serve", "decode_step_ms=20", "") + &table("base", "serve", "decode_step_ms=1", "");
    let package = package(&tables);
    let flags = ["--bench", "--against", "base", "--gate", "output_tokens_per_s", "--fail-on", "regression"];
    let outcome = package.run(&[&flags[..], &["--resolve", "5%"]].concat(), &[]);
    outcome.expect(3)?;
    for expected in ["output_tokens_per_s -", "% -", "] regressed; that is enough"] {
        assert!(outcome.stderr.contains(expected), "{expected}: {}", outcome.stderr);
    }
    let words = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(", as many as needed, which the intervals account for"), "{words}");
    let report = package.report("sharegpt/c2");
    let (comparison, passes) = (&report["comparison"], report["passes"].as_array().unwrap().len());
    assert!((4..30).contains(&passes), "{passes}");
    // No process is left with fewer passes than the others.
    let processes = comparison["pairs_of_processes"].as_u64().unwrap() as usize;
    assert_eq!(passes % processes, 0, "{passes} {processes}");
    assert_eq!((&comparison["sequential"], &comparison["noise_threshold"]), (&true.into(), &0.05.into()));
    assert_eq!((&report["resolve"], &comparison["pairs"]), (&0.05.into(), &passes.into()));
    // The next run knows from it what its time can tell.
    let outcome = package.run(&[&flags[..], &["--resolve", "10%"]].concat(), &[]);
    outcome.expect(3)?;
    assert!(
        outcome.stderr.contains("passes fit into 10m; with the noise of the last run they can detect"),
        "{}",
        outcome.stderr
    );
    let outcome = package.run(&[&flags[..], &["--resolve", "0.1%", "--time-budget", "1ms"]].concat(), &[]);
    assert!(outcome.stderr.contains("so 0s is too short to tell anything: raise --time-budget"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("after 2 passes in"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("; the time budget is used up (0s)"), "{}", outcome.stderr);
    outcome.expect(0)?;
    none_is_left(&package)
}

/// With an earlier run, as many passes as that has; with none, until the numbers are known well enough.
fn resolve_apart() -> Result<(), Failed> {
    let engine = engine();
    let package = package(&format!("server = \"{}\"\n", engine.url()));
    let flags = ["--bench", "--gate", "rpm", "--resolve", "90%"];
    let outcome = package.run(&flags, &[]);
    outcome.expect(0)?;
    assert!(outcome.stderr.contains("rpm is known to ±"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("that is enough"), "{}", outcome.stderr);
    // Passes of a baseline that differ too much for any change to be clear, whatever the machine did meanwhile.
    let mut baseline = package.report("sharegpt/c2");
    let passes = baseline["passes"].as_array_mut().unwrap();
    let first = passes.len();
    for (pass, factor) in passes.iter_mut().zip([0.1, 10.0].into_iter().cycle()) {
        pass["rpm"] = (pass["rpm"].as_f64().unwrap() * factor).into();
    }
    std::fs::write(package.path("target/tachometer/sharegpt/c2/new/report.json"), baseline.to_string())?;
    let outcome = package.run(&["--bench", "--gate", "rpm", "--resolve", "0.001%"], &[]);
    outcome.expect(0)?;
    assert!(outcome.stderr.contains("the baseline has no more passes to compare with"), "{}", outcome.stderr);
    let report = package.report("sharegpt/c2");
    assert_eq!(report["passes"].as_array().unwrap().len(), first);
    assert_eq!(report["comparison"]["sequential"], true);
    Ok(())
}

fn exclusive() -> Result<(), Failed> {
    let tables = table("head", "alone", "decode_step_ms=0.2", "") + &table("base", "alone", "decode_step_ms=0.2", "");
    let package = package(&tables);
    package.run(&["--bench", "--against", "base", "--turns", "exclusive"], &[]).expect(0)?;
    // One each for the questions, and one a pass.
    assert_eq!(pids(&package).len(), 2 + 2 * 2);
    none_is_left(&package)?;
    // Both at once can't be.
    let outcome = package.run(&["--bench", "--against", "base"], &[]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("the server base ended on its own"), "{}", outcome.stderr);
    none_is_left(&package)
}

fn git(package: &Package, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]);
    let output = command.args(words).current_dir(package.path("")).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn revision() -> Result<(), Failed> {
    let executable = std::env::current_exe()?.display().to_string();
    let script = |step: &str| {
        format!("#!/bin/sh\necho {step} >> \"$2.steps\"\nexec {executable} \"$1\" decode_step_ms={step} \"$2\"\n")
    };
    let pids_file = tempfile::tempdir()?;
    let pids_path = pids_file.path().join("pids");
    let tables = format!(
        "[server.head]\ncommand = [\"./built\", \"{{port}}\", \"{}\"]\nbuild = [\"sh\", \"-c\", \"cp serve.sh built; chmod +x built\"]\n\
         environment = {{ {RUN_AS_SERVER} = \"serve\" }}\n",
        pids_path.display()
    );
    let package = package(&tables);
    std::fs::write(package.path(".gitignore"), "target\nbuilt\n")?;
    std::fs::write(package.path("serve.sh"), script("20"))?;
    git(&package, &["init", "--quiet", "--initial-branch", "main"]);
    git(&package, &["add", "--all"]);
    git(&package, &["commit", "--quiet", "-m", "slow"]);
    std::fs::write(package.path("serve.sh"), script("1"))?;
    git(&package, &["commit", "--quiet", "--all", "-m", "fast"]);
    for run in 0..3 {
        if run == 2 {
            // As where it comes out of a cache, into another clone.
            std::fs::remove_dir_all(package.path(".git/worktrees"))?;
            let built = package.path("target/tachometer/revisions/HEAD-1/target");
            std::fs::create_dir_all(&built)?;
            std::fs::write(built.join("kept"), "")?;
        }
        let flags = ["--bench", "--against", "HEAD~1", "--sample-size", "3", "--out", "target/tachometer"];
        let outcome = package.run(&flags, &[]);
        outcome.expect(0)?;
        assert!(outcome.stdout.contains("sharegpt/c2 on HEAD~1"), "{}", outcome.stdout);
        let report = package.report("sharegpt/c2");
        let comparison = &report["comparison"];
        assert_eq!((&comparison["design"], &comparison["pairs"]), (&"interleaved".into(), &3.into()));
        // The slow commit is the baseline; whether three pairs are enough for a verdict is up to the machine.
        let change = comparison["metrics"]["output_tokens_per_s"]["change"].as_f64();
        assert!(change.is_some_and(|change| change > 0.0), "{comparison}");
        let sha = report["comparison"]["baseline_commit"]["sha"].as_str().unwrap().to_owned();
        assert!(sha.len() == 40 && sha != report["commit"]["sha"].as_str().unwrap(), "{sha}");
        assert_eq!(report["commit"]["dirty"], false);
        // The history has both commits.
        let history = std::fs::read_to_string(package.path("target/tachometer/history.jsonl"))?;
        assert!(history.contains(&sha));
    }
    let status = Command::new("git").args(["status", "--porcelain"]).current_dir(package.path("")).output()?;
    assert_eq!(String::from_utf8_lossy(&status.stdout), "");
    let started = std::fs::read_to_string(&pids_path)?;
    assert!(package.path("target/tachometer/revisions/HEAD-1/target/kept").exists());
    // Half of them as the one commit has it, half as the other.
    let steps = std::fs::read_to_string(pids_file.path().join("pids.steps"))?;
    for step in ["1", "20"] {
        assert_eq!(steps.lines().filter(|line| *line == step).count(), 3 * 3, "{steps}");
    }
    assert!(
        started.lines().count() == 3 * 2 * 3
            && started.lines().all(|line| is_gone(Pid::from_raw(line.parse().unwrap())))
    );
    let outcome = package.run(&["--bench", "--against", "nowhere"], &[]);
    outcome.expect(101)?;
    let expected = "cannot check out nowhere for the server nowhere: there is no such revision in this repository";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    Ok(())
}
