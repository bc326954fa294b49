//! A text file with a prompt a line; `--max-tokens` says how many tokens are asked for.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    DatasetError, Prompt,
    own::{Drawn, name_of},
    source::{Described, Opening, Source},
};

#[derive(Clone)]
struct PlainLines(PathBuf);

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let is_one = text.to_ascii_lowercase().ends_with(".txt");
    is_one.then(|| Ok(Arc::new(PlainLines(text.into())) as Arc<dyn Described>))
}

impl fmt::Display for PlainLines {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Described for PlainLines {
    fn workload_name(&self) -> String {
        name_of(&self.0)
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let path = self.to_string();
        let text =
            std::fs::read_to_string(&self.0).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let numbered = |(conversation, line)| Prompt { conversation, ..Prompt::new(line, 0) };
        let prompts: Vec<Prompt> = lines.enumerate().map(numbered).collect();
        match prompts.as_slice() {
            [] => Err(DatasetError::NoPrompts { path }),
            _ => Ok(Box::new(Drawn::new(path, prompts, with)?)),
        }
    }
}
