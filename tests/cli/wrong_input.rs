//! Wrong input: one clear line, and an exit code.

use libtest_mimic::Failed;

use crate::package::{Package, engine, fixture};

/// One case.
pub struct Wrong {
    pub name: &'static str,
    flags: &'static [&'static str],
    config: &'static str,
    /// A file `input`, `input.jsonl` and `input.txt`, beside tachometer.toml.
    input: &'static str,
    code: i32,
    message: &'static str,
}

/// Measures with the fixture tokenizer on a server that is there.
const LIVE: &[&str] = &["--bench", "--server", "{server}", "--tokenizer", "{tokenizer}", "--dataset"];

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
        flags: &["random:5:5", "--server", "127.0.0.1:1"],
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
    Wrong {
        name: "header-of-our-own",
        flags: &["x", "--header", "content-length: 3"],
        config: "",
        input: "",
        code: 2,
        message: "--header: `content-length` is set by tachometer",
    },
    Wrong {
        name: "gate-without-streaming",
        flags: &["x", "--gate", "ttft_p50", "--stream", "false"],
        config: "",
        input: "",
        code: 2,
        message: "--gate: ttft_p50 is only measured with --stream true",
    },
    Wrong {
        name: "prompt-in-extra-body",
        flags: &["x", "--extra-body", "{\"messages\": []}"],
        config: "",
        input: "",
        code: 2,
        message: "--extra-body: `messages` is the prompt's place",
    },
    Wrong {
        name: "not-a-number",
        flags: &["x", "--num-prompts", "x"],
        config: "",
        input: "",
        code: 2,
        message: "invalid value 'x' for '--num-prompts <N>': it is not a whole number",
    },
    Wrong {
        name: "passes",
        flags: &["x", "--passes", "3"],
        config: "",
        input: "",
        code: 2,
        message: "there is no --passes: use --sample-size N to make N passes",
    },
    Wrong {
        name: "duration",
        flags: &["x", "--max-seconds", "60"],
        config: "",
        input: "",
        code: 2,
        message: "there is no --max-seconds: use --duration TIME, such as 60s, to say how long a pass lasts",
    },
    Wrong {
        name: "number-in-quotes",
        flags: &["x"],
        config: "concurrency = \"8\"",
        input: "",
        code: 2,
        message: "line 1: neither a value of this setting nor a list of such",
    },
    Wrong {
        name: "value-in-the-file",
        flags: &["x"],
        config: "seed = 1\nnoise_threshold = 2.0",
        input: "",
        code: 2,
        message: "tachometer.toml line 2: noise_threshold: 2 is not a share",
    },
    Wrong {
        name: "value-of-a-flag-over-the-file",
        flags: &["x", "--noise-threshold", "3"],
        config: "noise_threshold = 0.5",
        input: "",
        code: 2,
        message: "--noise-threshold: 3 is not a share",
    },
    Wrong {
        name: "path-in-the-url",
        flags: &["x", "--server", "h/v1/chat/completions"],
        config: "",
        input: "",
        code: 2,
        message: "--server: leave `/v1/chat/completions` out of the URL",
    },
    Wrong {
        name: "nothing-selected-under-a-gate",
        flags: &["x", "nothing", "--fail-on", "regression"],
        config: "",
        input: "",
        code: 2,
        message: "FILTER: no benchmark matches; there are: sharegpt/c64",
    },
    Wrong {
        name: "bad-line",
        flags: &["input.jsonl"],
        config: "",
        input: "{\"prompt\": \"a\", \"max_tokens\": 1}\n{",
        code: 101,
        message: "the dataset input.jsonl, line 2: it is not JSON",
    },
    Wrong {
        name: "prompt-without-a-length",
        flags: &["input.jsonl"],
        config: "",
        input: "{\"prompt\": \"a\"}",
        code: 101,
        message: "prompt 1 of input.jsonl has neither `output_tokens` nor `max_tokens`",
    },
    Wrong {
        name: "too-few-prompts",
        flags: &["input.jsonl", "--num-prompts", "2"],
        config: "",
        input: "{\"prompt\": \"a\", \"max_tokens\": 1}",
        code: 101,
        message: "2 prompts asked for, but input.jsonl holds 1",
    },
    Wrong {
        name: "lines-without-a-length",
        flags: &["input.txt"],
        config: "",
        input: "a\n\nb\n",
        code: 101,
        message: "prompt 1 of input.txt has neither `output_tokens` nor `max_tokens`: add one, or give --max-tokens",
    },
    Wrong {
        name: "no-prompts",
        flags: &["input.jsonl"],
        config: "",
        input: "\n",
        code: 101,
        message: "the dataset input.jsonl holds no prompt",
    },
];

impl Wrong {
    pub fn check(&self) -> Result<(), Failed> {
        let package = Package::new(self.config);
        for name in ["input", "input.jsonl", "input.txt"] {
            std::fs::write(package.path(name), self.input)?;
        }
        let (dataset, tokenizer) = (fixture("sharegpt.json"), fixture("tokenizer.json"));
        let engine = engine();
        let server = engine.url();
        // A flag that is given again here replaces the one before.
        let given = |flag: &str| self.flags.contains(&flag);
        let mut flags: Vec<&str> = Vec::new();
        let mut standing = LIVE.iter();
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
                "{server}" => server.as_str(),
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
        assert_eq!(engine.take_truths().len(), 0);
        Ok(())
    }
}
