//! Recorded traffic: `trace:FILE`, with the time of each request, its lengths, and what it shares with others. Its texts are made up.
//!
//! A file is read once, and of each request 32 bytes are kept; texts are made for the requests that are sent.

mod blocks;
mod mooncake;
mod row;
mod tables;
mod window;

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rand::{SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;

use self::{
    blocks::{Blocks, Seen},
    row::{Format, Row},
};
use super::{
    DatasetError, Prompt, Tokenizer, WordList,
    counter::Counter,
    own::name_of,
    pairs::left_out,
    source::{Described, Opening, Source},
};

pub use self::window::TraceWindow;

/// In the order in which they are asked whether a file is theirs.
static FORMATS: &[Format] = &[tables::FORMAT, mooncake::FORMAT];

struct Trace(PathBuf);

/// A trace that has been read.
struct Requests {
    path: PathBuf,
    format: &'static Format,
    window: Option<TraceWindow>,
    /// Of the window, in the order in which they are sent.
    rows: Vec<Row>,
    left_out: usize,
    tokenizer: Arc<Tokenizer>,
    words: WordList,
    remark: RefCell<Option<String>>,
}

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let path = text.strip_prefix("trace:")?;
    Some(match path {
        "" => {
            Err("`trace:` names no file: write trace:FILE.jsonl (Mooncake), or trace:FILE.csv (BurstGPT, Azure)"
                .to_owned())
        }
        path => Ok(Arc::new(Trace(path.into()))),
    })
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "trace:{}", self.0.display())
    }
}

impl Described for Trace {
    fn workload_name(&self) -> String {
        name_of(&self.0)
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn within(&self, folder: &Path) -> Option<String> {
        Some(Self(folder.join(&self.0)).to_string())
    }

    fn has_times(&self) -> bool {
        true
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let path = self.0.clone();
        let format = FORMATS.iter().find(|format| (format.is_of)(&path)).unwrap_or(&FORMATS[0]);
        let (mut rows, mut lines) = (Vec::<Row>::new(), 0);
        (format.read)(&path, &mut |row| {
            if lines % 4096 == 0 && (with.stopped)() {
                return Err(DatasetError::Stopped);
            }
            lines += 1;
            rows.push(row);
            Ok(())
        })?;
        // Lines may come in any order.
        rows.sort_by_key(|row| row.at_ns);
        let first_ns = rows.first().map_or(0, |row| row.at_ns);
        rows.retain(|row| with.trace_window.is_none_or(|window| window.holds(row.at_ns - first_ns)));
        let in_window = rows.len();
        rows.retain(|row| row.prompt_tokens > 0 && row.output_tokens > 0);
        let left_out = in_window - rows.len();
        if rows.is_empty() {
            return Err(DatasetError::EmptyTrace { path: path.display().to_string(), lines });
        }
        let tokenizer = with.tokenizer.clone();
        let words = WordList::new(&tokenizer)?;
        let window = with.trace_window;
        Ok(Box::new(Requests { path, format, window, rows, left_out, tokenizer, words, remark: RefCell::default() }))
    }
}

impl Source for Requests {
    /// The first requests of the window, at their times from the first of them. The seed makes their texts, and nothing else.
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let path = || self.path.display().to_string();
        let there = self.rows.len();
        let Some(rows) = self.rows.get(..num_prompts) else {
            let part = |window| format!("--trace-window {window} of {}", path());
            let path = self.window.map_or_else(path, part);
            return Err(DatasetError::TooFewPrompts { path, wanted: num_prompts, there });
        };
        let ids = (self.format.blocks)(&self.path, rows)?;
        let said = |why| DatasetError::Tokenize { path: path(), index: 0, why };
        let mut blocks = Blocks::new(&self.words, &self.tokenizer, seed).map_err(said)?;
        let mut seen = Seen::default();
        let first_ns = rows.first().map_or(0, |row| row.at_ns);
        let prompt = |(conversation, (row, ids)): (usize, (&Row, &Vec<u64>))| Prompt {
            conversation,
            arrival: Some(Duration::from_nanos(row.at_ns.saturating_sub(first_ns) as u64)),
            prompt_tokens: row.prompt_tokens,
            shared_tokens: seen.shared_tokens(ids, row.prompt_tokens),
            ..Prompt::new(blocks.text(ids, row.prompt_tokens), row.output_tokens)
        };
        let mut prompts: Vec<Prompt> = rows.iter().zip(&ids).enumerate().map(prompt).collect();
        self.make_others(&mut prompts, seed)?;
        let differences = self.count(&mut prompts).map_err(said)?;
        let cut = (there > num_prompts).then(|| {
            let part = Duration::from_secs_f64(
                prompts.last().and_then(|last| last.arrival).unwrap_or_default().as_secs_f64().round(),
            );
            format!(
                "only the first {num_prompts} of {there} requests are sent, covering {}",
                humantime::format_duration(part)
            )
        });
        let remarks: Vec<String> = [cut, left_out(self.left_out), differences].into_iter().flatten().collect();
        *self.remark.borrow_mut() =
            (!remarks.is_empty()).then(|| format!("{}: {}", self.path.display(), remarks.join("; ")));
        Ok(prompts)
    }

    fn remark(&self) -> Option<String> {
        self.remark.borrow().clone()
    }
}

impl Requests {
    /// Gives each prompt without blocks a text of its own.
    fn make_others(&self, prompts: &mut [Prompt], seed: u64) -> Result<(), DatasetError> {
        let (words, tokenizer) = (&self.words, &*self.tokenizer);
        prompts.par_iter_mut().filter(|prompt| prompt.text.is_empty()).try_for_each(|prompt| {
            let mut key = *b"the seed, and a request's number";
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8..16].copy_from_slice(&(prompt.conversation as u64).to_le_bytes());
            let mut rng = ChaCha8Rng::from_seed(key);
            prompt.text = words.text(prompt.prompt_tokens as usize, tokenizer, &mut rng)?;
            Ok(())
        })
    }

    /// Counts the prompts' tokens; says by how much they differ from the trace's, where they do.
    fn count(&self, prompts: &mut [Prompt]) -> Result<Option<String>, String> {
        let with = |counter: &Counter| {
            let count = |(number, prompt): (usize, &Prompt)| {
                let counted = counter.count_up_to(number, &prompt.text, false, usize::MAX - 1)?;
                Ok(counted.unwrap_or_default() as u32)
            };
            prompts.par_iter().enumerate().map(count).collect::<Result<Vec<u32>, String>>()
        };
        let fast = Counter::fast(&self.tokenizer);
        let mut counts = with(&fast)?;
        if fast.is_refuted() {
            counts = with(&Counter::plain(&self.tokenizer))?;
        }
        let differences = prompts.iter().zip(&counts).map(|(prompt, count)| count.abs_diff(prompt.prompt_tokens));
        let (different, most) = differences
            .filter(|difference| *difference > 0)
            .fold((0, 0), |(number, most), difference| (number + 1, most.max(difference)));
        prompts.iter_mut().zip(counts).for_each(|(prompt, count)| prompt.prompt_tokens = count);
        Ok((different > 0).then(|| {
            format!("{different} prompts differ in length from the trace, by up to {most} tokens, because words merge in this tokenizer")
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::{Dataset, Prompts},
        fixtures,
    };

    fn fixture(name: &str) -> String {
        format!("trace:{}/fixtures/traces/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    fn drawn(dataset: &str, window: Option<&str>, n: usize) -> Result<(Vec<Prompt>, String), DatasetError> {
        let dataset: Dataset = dataset.parse().unwrap();
        let mut with = Opening::new(Arc::new(fixtures::tokenizer().unwrap()));
        with.trace_window = window.map(|window| window.parse().unwrap());
        let source = dataset.open(&with)?;
        Ok((source.draw(7, n)?, source.remark().unwrap_or_default()))
    }

    fn drawn_of(name: &str, text: &str, window: Option<&str>, n: usize) -> Result<(Vec<Prompt>, String), DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        drawn(&format!("trace:{}", path.display()), window, n)
    }

    /// A request's time in milliseconds and its lengths.
    fn said(prompts: &[Prompt]) -> Vec<(u128, u32, u32)> {
        let said = |p: &Prompt| (p.arrival.unwrap().as_millis(), p.prompt_tokens, p.output_tokens);
        prompts.iter().map(said).collect()
    }

    /// On every machine: texts, lengths and times.
    #[test]
    fn a_seed_makes_the_same_requests_everywhere() {
        let digests = ["mooncake.jsonl", "burstgpt.csv", "azure.csv"].map(|name| {
            let (prompts, _) = drawn(&fixture(name), None, 30).unwrap();
            Prompts { seed: 7, prompts }.digest(&()).to_string()
        });
        assert_eq!(
            digests,
            [
                "sha256:efc21cb5656356618b80e4d02abf664240ef75ad9d9dba79906fde7e00bd7b55",
                "sha256:4c9f7c5540bcb047e4b0dd2b0a35a5daf5069bc76354a7667d9b3350470c233c",
                "sha256:0802ed93d336c7679ecf97dcb9e8e66b6ac3fda5a5108ee889c3455889363dc4",
            ]
        );
    }

    #[test]
    fn requests_have_the_times_and_lengths_of_their_lines() {
        let burst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,5,7,12,API log\n6.5,GPT-4,8,0,8,API log\n7,ChatGPT,9,3,12,API log\n";
        let azure = "\u{feff}TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,5,7\r\n2023-11-16 18:15:48.6805900,9,3\r\n";
        // In another order than that of their times.
        let ours = "output_tokens,arrival_s,prompt_tokens\n3,12,9\n7,10,5\n";
        let mooncake = "{\"timestamp\": 100, \"input_length\": 5, \"output_length\": 7, \"hash_ids\": [46]}\n\n{\"timestamp\": 2100, \"input_length\": 9, \"output_length\": 3}\n";
        for (name, text, remark) in [
            ("a.csv", burst, ": 1 line has a length of 0, and was left out"),
            ("a.csv", azure, ""),
            ("a.CSV", ours, ""),
            ("a.jsonl", mooncake, ""),
        ] {
            let (prompts, remarked) = drawn_of(name, text, None, 2).unwrap();
            assert_eq!(said(&prompts), [(0, 5, 7), (2000, 9, 3)], "{name}");
            assert!(remarked.ends_with(remark) && remarked.is_empty() == remark.is_empty(), "{remarked}");
        }
        let (prompts, remark) = drawn(&fixture("mooncake.jsonl"), None, 30).unwrap();
        assert!(remark.ends_with(": only the first 30 of 40 requests are sent, covering 1s"), "{remark}");
        assert!(prompts.iter().any(|prompt| prompt.shared_tokens > 512));
    }

    #[test]
    fn a_window_is_a_part() {
        let lines = "arrival_s,prompt_tokens,output_tokens\n100,1,1\n101,2,1\n102.5,3,1\n103,4,1\n";
        let lengths = |window: &str, n| said(&drawn_of("a.csv", lines, Some(window), n).unwrap().0);
        assert_eq!(lengths("1..3", 2), [(0, 2, 1), (1500, 3, 1)]);
        assert_eq!(lengths("2..", 2), [(0, 3, 1), (500, 4, 1)]);
        // From the earliest request, wherever it stands.
        let late_first = "arrival_s,prompt_tokens,output_tokens\n103,4,1\n100,1,1\n101,2,1\n";
        assert_eq!(said(&drawn_of("a.csv", late_first, Some("0..2"), 2).unwrap().0), [(0, 1, 1), (1000, 2, 1)]);
        let error = |window: &str, n| drawn_of("a.csv", lines, Some(window), n).unwrap_err().to_string();
        let few = error("1..3", 3);
        assert!(few.starts_with("3 prompts asked for, but --trace-window 1..3 of "), "{few}");
        assert!(few.ends_with("a.csv holds 2: lower --num-prompts to 2 or less"), "{few}");
        assert!(
            error("9..", 1)
                .contains("no request to send with both lengths above 0: it has 4 in all; check --trace-window")
        );
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let good = r#"{"timestamp": 0, "input_length": 513, "output_length": 1, "hash_ids": [1, 2]}"#;
        for (name, text, line, why) in [
            ("a.jsonl", format!("{good}\n{{\"timestamp\": 1}}"), 2, "missing field `input_length` at "),
            ("a.jsonl", format!("{good}\nx"), 2, "expected value at "),
            ("a.jsonl", good.replace("\"timestamp\": 0", "\"timestamp\": 1e300"), 1, "1e300 is no time"),
            ("a.csv", "arrival_s,prompt_tokens,output_tokens\ninf,1,1\n".to_owned(), 2, "`inf` is no time"),
            ("a.jsonl", good.replace("513", "512"), 1, "512 tokens are 1 blocks of 512, and it has 2 hash_ids"),
            ("a.jsonl", good.replace("513", "-1"), 1, "invalid value: integer `-1`"),
            (
                "a.csv",
                "TIMESTAMP,ContextTokens,GeneratedTokens\nsoon,1,1\n".to_owned(),
                2,
                "`soon` is no date with a time",
            ),
            (
                "a.csv",
                "arrival_s,prompt_tokens,output_tokens\n1,1,1\nx,1,1\n".to_owned(),
                3,
                "`x` is no number of seconds",
            ),
            (
                "a.csv",
                "a,b\n1,1\n".to_owned(),
                1,
                "no column is named `arrival_s` and `prompt_tokens` and `output_tokens`, or ",
            ),
        ] {
            let error = drawn_of(name, &text, None, 1).unwrap_err().to_string();
            assert!(error.contains(&format!(", line {line}: {why}")), "{error}");
        }
        assert!("trace:".parse::<Dataset>().unwrap_err().contains("names no file"));
        let trace: Dataset = "trace:a/b.jsonl".parse().unwrap();
        assert_eq!((trace.workload_name().as_str(), trace.to_string().as_str()), ("b", "trace:a/b.jsonl"));
        assert_eq!(trace.within(Path::new("f")).as_deref(), Some("trace:f/a/b.jsonl"));
        assert!(trace.has_times());
    }
}
