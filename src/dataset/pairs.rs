//! Prompts of recorded lengths: `random:FILE.csv`, with the lengths of a prompt and of its answer in a line each.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::RngExt;

use super::{
    DatasetError, Prompt, Tokenizer, WordList,
    columns::Columns,
    own::name_of,
    source::{Described, Opening, Source},
    synthetic::lengths_rng,
};

struct Pairs(PathBuf);

struct Words {
    pairs: Vec<(u32, u32)>,
    left_out: usize,
    tokenizer: Arc<Tokenizer>,
    list: WordList,
}

/// What the two columns are called: here, in BurstGPT's files, and in Azure's.
const COLUMNS: [[&str; 2]; 3] =
    [["prompt_tokens", "output_tokens"], ["Request tokens", "Response tokens"], ["ContextTokens", "GeneratedTokens"]];

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let path = text.strip_prefix("random:")?;
    path.to_ascii_lowercase().ends_with(".csv").then(|| Ok(Arc::new(Pairs(path.into())) as Arc<dyn Described>))
}

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "random:{}", self.0.display())
    }
}

impl Described for Pairs {
    fn workload_name(&self) -> String {
        format!("random-{}", name_of(&self.0))
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn within(&self, folder: &Path) -> Option<String> {
        Some(Self(folder.join(&self.0)).to_string())
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let (pairs, left_out) = read(&self.0, with.stopped)?;
        let tokenizer = with.tokenizer.clone();
        let list = WordList::new(&tokenizer)?;
        Ok(Box::new(Words { pairs, left_out, tokenizer, list }))
    }
}

/// The pairs, and how many lines have a length of 0, as failed requests do in recorded files.
fn read(path: &Path, stopped: &dyn Fn() -> bool) -> Result<(Vec<(u32, u32)>, usize), DatasetError> {
    let mut file = Columns::open(path, &COLUMNS)?;
    let (mut pairs, mut left_out) = (Vec::new(), 0);
    while file.advance()? {
        if pairs.len() % 4096 == 0 && stopped() {
            return Err(DatasetError::Stopped);
        }
        match (file.number(0, "number of tokens")?, file.number(1, "number of tokens")?) {
            (0, _) | (_, 0) => left_out += 1,
            pair => pairs.push(pair),
        }
    }
    if pairs.is_empty() {
        let why = "no line has two lengths above 0".to_owned();
        return Err(DatasetError::Line { path: path.display().to_string(), line: 1, why });
    }
    Ok((pairs, left_out))
}

/// What is said of lines with a length of 0.
pub(super) fn left_out(lines: usize) -> Option<String> {
    match lines {
        0 => None,
        1 => Some("1 line has a length of 0, and was left out".to_owned()),
        more => Some(format!("{more} lines have a length of 0, and were left out")),
    }
}

impl Source for Words {
    /// Each prompt has the lengths of any of the lines, with the same chance.
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let mut rng = lengths_rng(seed);
        let lengths = (0..num_prompts).map(|_| self.pairs[rng.random_range(0..self.pairs.len())]);
        self.list.prompts_of(&self.tokenizer, seed, lengths)
    }

    fn remark(&self) -> Option<String> {
        left_out(self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dataset::Dataset, fixtures};

    fn drawn(csv: &str) -> Result<(Vec<Prompt>, Option<String>), DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lengths.csv");
        std::fs::write(&path, csv).unwrap();
        let with = Opening::new(Arc::new(fixtures::tokenizer().unwrap()));
        let dataset: Dataset = format!("random:{}", path.display()).parse().unwrap();
        dataset.find().unwrap();
        let source = dataset.open(&with)?;
        Ok((source.draw(0, 40)?, source.remark()))
    }

    #[test]
    fn prompts_have_the_lengths_of_lines() {
        for csv in [
            "prompt_tokens,output_tokens\n5,7\n9,3\n",
            "\u{feff}output_tokens,name,prompt_tokens\r\n7,a,5\r\n3,b,9\r\n",
            // BurstGPT, of which 0 stands for a failed request, and Azure.
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,5,7,12,API log\n6,GPT-4,9,3,12,API log\n7,ChatGPT,8,0,8,API log\n",
            "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,5,7\r\n2023-11-16 18:15:50.9951690,9,3\r\n",
        ] {
            let (prompts, remark) = drawn(csv).unwrap();
            let lengths = |of: (u32, u32)| prompts.iter().filter(|p| (p.prompt_tokens, p.output_tokens) == of).count();
            let (first, second) = (lengths((5, 7)), lengths((9, 3)));
            assert!(first + second == 40 && first > 8 && second > 8, "{first} {second}");
            let expected = csv.contains("GPT-4").then_some("1 line has a length of 0, and was left out");
            assert_eq!(remark.as_deref(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (csv, line, why) in [
            ("prompt_tokens,output_tokens\n5,7\n9,x\n", 3, "`x` is no number of tokens"),
            ("prompt_tokens,output_tokens\n5,7\n9\n", 3, "it has 1 fields, and the first line 2"),
            ("a,b\n5,7\n", 1, "no column is named `prompt_tokens` and `output_tokens`, "),
            ("prompt_tokens,output_tokens\n0,7\n", 1, "no line has two lengths above 0"),
        ] {
            let error = drawn(csv).unwrap_err().to_string();
            assert!(error.contains(&format!(", line {line}: {why}")), "{error}");
        }
        let missing: Dataset = "random:no-such.csv".parse().unwrap();
        assert!(missing.find().unwrap_err().to_string().contains("no-such.csv"));
        assert_eq!(missing.within(Path::new("folder")).as_deref(), Some("random:folder/no-such.csv"));
        assert_eq!(missing.workload_name(), "random-no-such");
    }
}
