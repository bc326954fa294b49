//! Prompts of recorded lengths: `random:FILE.csv`, with the lengths of a prompt and of its answer in a line each.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::RngExt;

use super::{
    DatasetError, Prompt, Tokenizer, WordList,
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
const COLUMNS: [(&str, &str); 3] =
    [("prompt_tokens", "output_tokens"), ("Request tokens", "Response tokens"), ("ContextTokens", "GeneratedTokens")];

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
    let name = path.display().to_string();
    let line_error = |line: u64, why: String| DatasetError::Line { path: name.clone(), line: line as usize, why };
    let csv_error = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        match error.into_kind() {
            csv::ErrorKind::Io(source) => DatasetError::Read { path: name.clone(), source },
            csv::ErrorKind::Utf8 { err, .. } => line_error(line, err.to_string()),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                line_error(line, format!("it has {len} fields, and the first line {expected_len}"))
            }
            other => line_error(line, format!("{other:?}")),
        }
    };
    let mut file = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(csv_error)?;
    let header = file.headers().map_err(csv_error)?.clone();
    let place = |column: &str| header.iter().position(|name| name.trim_start_matches('\u{feff}') == column);
    let columns = COLUMNS.iter().find_map(|(prompt, output)| Some((place(prompt)?, place(output)?)));
    let Some((prompt, output)) = columns else {
        let [a, b, c] = COLUMNS.map(|(prompt, output)| format!("`{prompt}` and `{output}`"));
        return Err(line_error(1, format!("no column is named {a}, {b}, or {c}")));
    };
    let (mut pairs, mut left_out) = (Vec::new(), 0);
    let mut record = csv::StringRecord::new();
    while file.read_record(&mut record).map_err(csv_error)? {
        if pairs.len() % 4096 == 0 && stopped() {
            return Err(DatasetError::Stopped);
        }
        let line = record.position().map_or(0, csv::Position::line);
        let length = |column: usize| {
            let text = record.get(column).unwrap_or_default();
            text.parse::<u32>().map_err(|_| line_error(line, format!("`{text}` is no number of tokens")))
        };
        match (length(prompt)?, length(output)?) {
            (0, _) | (_, 0) => left_out += 1,
            pair => pairs.push(pair),
        }
    }
    if pairs.is_empty() {
        return Err(line_error(1, "no line has two lengths above 0".to_owned()));
    }
    Ok((pairs, left_out))
}

impl Source for Words {
    /// Each prompt has the lengths of any of the lines, with the same chance.
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let mut rng = lengths_rng(seed);
        let lengths = (0..num_prompts).map(|_| self.pairs[rng.random_range(0..self.pairs.len())]);
        self.list.prompts_of(&self.tokenizer, seed, lengths)
    }

    fn remark(&self) -> Option<String> {
        let lines = if self.left_out == 1 { "line has" } else { "lines have" };
        (self.left_out > 0).then(|| format!("{} {lines} a length of 0, and was left out", self.left_out))
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
