//! Wrong input: one clear line, and an exit code.

use libtest_mimic::Failed;

use crate::package::{Package, fixture};

/// One case.
pub struct Wrong {
    pub name: &'static str,
    flags: &'static [&'static str],
    config: &'static str,
    /// A file `input` beside tachometer.toml.
    input: &'static str,
    code: i32,
    message: &'static str,
}

/// Measures with the fixture tokenizer on a server that is not there.
const DOWN: &[&str] = &["--bench", "--server", "127.0.0.1:1", "--tokenizer", "{tokenizer}", "--dataset"];

pub const WRONG: &[Wrong] = &[
    Wrong {
        name: "no-such-dataset",
        flags: &["nowhere.json"],
        config: "",
        input: "",
        code: 101,
        message: "cannot read the dataset nowhere.json: No such file",
    },
    Wrong {
        name: "not-json",
        flags: &["input"],
        config: "",
        input: "[\n  {\"a\": 1},\n  hello\n]",
        code: 101,
        message: "the dataset input is not JSON: line 3 column 3: expected value",
    },
    Wrong {
        name: "not-sharegpt",
        flags: &["input"],
        config: "",
        input: "[{\"a\": 1}]",
        code: 101,
        message: "the dataset input is not in ShareGPT format: none of its 1 elements has a list named `conversations`",
    },
    Wrong {
        name: "an-object",
        flags: &["input"],
        config: "",
        input: "{\"a\": 1}",
        code: 101,
        message: "the dataset input is not in ShareGPT format: it holds an object",
    },
    Wrong {
        name: "empty-file",
        flags: &["input"],
        config: "",
        input: " ",
        code: 101,
        message: "the dataset input is empty",
    },
    Wrong {
        name: "no-such-tokenizer",
        flags: &["random:5:5", "--tokenizer", "nowhere"],
        config: "",
        input: "",
        code: 101,
        message: "cannot load the tokenizer nowhere: no such file or folder",
    },
    Wrong {
        name: "not-a-tokenizer",
        flags: &["random:5:5", "--tokenizer", "input"],
        config: "",
        input: "{}",
        code: 101,
        message: "cannot load the tokenizer input: not a tokenizer.json",
    },
    Wrong {
        name: "unknown-flag",
        flags: &["x", "--num-prompt", "3"],
        config: "",
        input: "",
        code: 2,
        message: "a similar argument exists: '--num-prompts'",
    },
    Wrong {
        name: "unknown-key",
        flags: &["x"],
        config: "sead = 1",
        input: "",
        code: 2,
        message: "line 1: unknown key `sead`; did you mean `seed`?",
    },
    Wrong {
        name: "concurrency-of-0",
        flags: &["x", "--concurrency", "0"],
        config: "",
        input: "",
        code: 2,
        message: "--concurrency: 0 clients would send nothing",
    },
    Wrong {
        name: "server-down",
        flags: &["random:5:5"],
        config: "",
        input: "",
        code: 101,
        message: "cannot reach the server http://127.0.0.1:1: Connection refused",
    },
    Wrong {
        name: "more-prompts-than-there-are",
        flags: &["{dataset}", "--num-prompts", "5000"],
        config: "",
        input: "",
        code: 101,
        message: "5000 prompts asked for, but only 1134 of the 1200 conversations",
    },
    Wrong {
        name: "unreadable-config",
        flags: &["x", "--config", "nowhere.toml"],
        config: "",
        input: "",
        code: 2,
        message: "cannot read nowhere.toml: No such file",
    },
    Wrong {
        name: "not-a-url",
        flags: &["x", "--server", "ftp://h"],
        config: "",
        input: "",
        code: 2,
        message: "--server: `ftp://h` is not a server URL: the scheme `ftp` is not http or https",
    },
];

impl Wrong {
    pub fn check(&self) -> Result<(), Failed> {
        let package = Package::new(self.config);
        std::fs::write(package.path("input"), self.input)?;
        let (dataset, tokenizer) = (fixture("sharegpt.json"), fixture("tokenizer.json"));
        // A flag that is given again here replaces the one before.
        let given = |flag: &str| self.flags.contains(&flag);
        let mut flags: Vec<&str> = Vec::new();
        let mut standing = DOWN.iter();
        while let Some(flag) = standing.next() {
            match given(flag) {
                true => _ = standing.next(),
                false => flags.push(flag),
            }
        }
        flags.extend(self.flags);
        let flags: Vec<&str> = flags
            .into_iter()
            .map(|flag| match flag {
                "{dataset}" => dataset.as_str(),
                "{tokenizer}" => tokenizer.as_str(),
                other => other,
            })
            .collect();
        let outcome = package.run(&flags, &[]);
        outcome.expect(self.code)?;
        assert!(outcome.stderr.contains(self.message), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        assert!(!package.path("target/tachometer/sharegpt").exists());
        Ok(())
    }
}
