//! Runs of three shards in which something goes wrong with one of them: what each ends with, says, and keeps.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use serde_json::Value;
use tachometer::engine::Engine;

use crate::{
    package::{Outcome, Package, Running, engine_with},
    shards::{TOKEN, flags, port, start},
};

pub fn trials() -> Vec<Trial> {
    FAULTS.iter().map(|fault| Trial::test(format!("shards/{}", fault.name), || fault.check())).collect()
}

fn merge_by_hand(package: &Package) -> Result<(), Failed> {
    let kept = package.path("target/tachometer/shards");
    let merge = || -> Result<(Value, Outcome), Failed> {
        let outcome = package.run(&["--bench", "--merge", &kept.display().to_string()], &[]);
        outcome.expect(0)?;
        let path = package.path("target/tachometer/sharegpt/c6/partial/report.json");
        Ok((serde_json::from_str(&std::fs::read_to_string(path)?)?, outcome))
    };
    let (report, outcome) = merge()?;
    let first = &report["passes"][0];
    assert_eq!((&first["completed"], first["shards"].as_array().map(Vec::len)), (&30.into(), Some(3)));
    assert_eq!((&report["shards"], &report["partial"]["passes_wanted"]), (&3.into(), &2.into()));
    assert!(outcome.stdout.contains("sharegpt/c6"), "{}", outcome.stdout);
    let run = std::fs::read_dir(&kept)?.next().unwrap()?.path();
    let damaged = run.join("00001-sharegpt-c6.shard-2");
    let mut bytes = std::fs::read(&damaged)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes)?;
    let (report, outcome) = merge()?;
    assert!(outcome.stderr.contains("its checksum is another"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("sharegpt/c6: pass 1 lacks the records of shard 2"), "{}", outcome.stderr);
    // Of the passes of which something is missing, the last one is shown.
    assert_eq!(report["passes"].as_array().map(Vec::len), Some(1));
    let folder = package.path("target");
    package.run(&["--bench", "--merge", &folder.display().to_string()], &[]).expect(101)
}

/// Something that goes wrong with one of three shards.
struct Fault {
    name: &'static str,
    /// Flags of that shard alone.
    flags: &'static [&'static str],
    /// Its token, where it has another.
    token: &'static str,
    /// How long shards wait for one another, in seconds.
    patience: &'static str,
    /// Which shard it is.
    rank: usize,
    /// What happens to it, once the second pass is under way.
    happens: Option<fn(&Running)>,
    /// What shard 0 ends with, and says.
    code: i32,
    says: &'static str,
    /// What the others end with; shard 0 is left out, and that shard.
    others: i32,
    /// Whether what the others measured is in a partial report.
    kept: bool,
}

const NOTHING: Fault = Fault {
    name: "",
    flags: &[],
    token: "a secret",
    patience: "60",
    rank: 1,
    happens: None,
    code: 101,
    says: "",
    others: 0,
    kept: false,
};

const FAULTS: &[Fault] = &[
    Fault {
        name: "one_that_is_killed_is_named",
        happens: Some(|shard| shard.signal(Signal::SIGKILL)),
        says: "shard 1 (",
        kept: true,
        ..NOTHING
    },
    Fault {
        name: "one_that_falls_silent_is_named",
        patience: "3",
        happens: Some(|shard| shard.signal(Signal::SIGSTOP)),
        says: "nothing was heard of it for 3s",
        kept: true,
        ..NOTHING
    },
    Fault {
        name: "one_that_is_frozen_for_a_while_goes_on",
        happens: Some(|shard| {
            shard.signal(Signal::SIGSTOP);
            std::thread::sleep(Duration::from_secs(1));
            shard.signal(Signal::SIGCONT);
        }),
        code: 0,
        ..NOTHING
    },
    Fault {
        name: "one_that_is_interrupted_ends_the_run",
        happens: Some(|shard| shard.signal(Signal::SIGINT)),
        code: 130,
        says: "interrupted",
        kept: true,
        ..NOTHING
    },
    Fault { name: "other_settings_are_named", flags: &["--top-p", "0.5"], says: "its prompts are others", ..NOTHING },
    Fault {
        name: "another_token_is_not_let_in",
        token: "a guess",
        patience: "3",
        says: "shard 1 did not come",
        ..NOTHING
    },
    Fault { name: "one_that_can_not_write_goes_on", flags: &["--out", "/dev/null/nowhere"], code: 0, ..NOTHING },
    Fault {
        name: "without_shard_0_the_others_keep_their_records",
        rank: 0,
        happens: Some(|shard| shard.signal(Signal::SIGKILL)),
        code: -1,
        others: 101,
        ..NOTHING
    },
];

impl Fault {
    fn check(&self) -> Result<(), Failed> {
        let engine = engine_with("decode_step_ms=20");
        let package = Package::new("");
        let place = port()?;
        let mut running: Vec<Running> = (0..3).map(|rank| self.start(&package, &engine, &place, rank)).collect();
        if let Some(happens) = self.happens {
            running[0].read_until("pass 2/2")?;
            happens(&running[self.rank]);
        }
        let mut outcomes = Vec::new();
        for (rank, shard) in running.into_iter().enumerate() {
            if rank == self.rank && self.name == "one_that_falls_silent_is_named" {
                shard.signal(Signal::SIGKILL);
            }
            outcomes.push(shard.wait());
        }
        outcomes[0].expect(self.code)?;
        assert!(outcomes[0].stderr.contains(self.says), "{}", outcomes[0].stderr);
        for (rank, outcome) in outcomes.iter().enumerate().filter(|(rank, _)| *rank > 0 && *rank != self.rank) {
            outcome.expect(self.others).map_err(|e| format!("shard {rank}: {e:?}"))?;
        }
        if self.token != NOTHING.token {
            outcomes[0].expect(101)?;
            assert!(outcomes[0].stderr.contains("it has another token"), "{}", outcomes[0].stderr);
            assert!(outcomes[1].stderr.contains("shard 0 does not take this one"), "{}", outcomes[1].stderr);
        }
        let partial = package.path("target/tachometer/sharegpt/c6/partial/report.json");
        assert_eq!(partial.is_file(), self.kept, "{}", outcomes[0].stderr);
        if self.kept {
            let report: Value = serde_json::from_str(&std::fs::read_to_string(partial)?)?;
            // The first pass is whole.
            let [whole, cut] = [&report["passes"][0], &report["passes"][1]];
            assert_eq!((&whole["completed"], whole["shards"].as_array().map(Vec::len)), (&30.into(), Some(3)));
            assert!(cut.is_null() || cut["completed"].as_u64() < Some(30), "{cut}");
        }
        if self.rank == 0 {
            for outcome in &outcomes[1..] {
                assert!(outcome.stderr.contains("the records of this shard are in"), "{}", outcome.stderr);
            }
            let folders: Vec<_> = std::fs::read_dir(package.path("target/tachometer/shards"))?.collect();
            assert_eq!(folders.len(), 1);
            let files = std::fs::read_dir(folders[0].as_ref().unwrap().path())?.filter_map(Result::ok);
            let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
            for rank in 0..3 {
                let name = format!("00001-sharegpt-c6.shard-{rank}");
                assert!(names.contains(&name), "{name} in {names:?}");
            }
            merge_by_hand(&package)?;
        }
        Ok(())
    }

    fn start(&self, package: &Package, engine: &Engine, place: &str, rank: usize) -> Running {
        let mut flags = flags(&engine.url());
        let more = ["--concurrency", "6", "--num-prompts", "30", "--max-tokens", "15", "--sample-size", "2"];
        flags.extend(more.map(str::to_owned));
        flags.extend(["--rendezvous", place].map(str::to_owned));
        flags.extend(["--shard-timeout", self.patience].map(str::to_owned));
        if rank == self.rank {
            flags.extend(self.flags.iter().map(|flag| (*flag).to_owned()));
        }
        let token = if rank == self.rank { self.token } else { NOTHING.token };
        start(package, &flags, rank, 3, &[(TOKEN, token)])
    }
}
