//! The kinds of datasets, a file each; [`KINDS`] has a line for each.

use std::{
    fmt,
    hash::{Hash, Hasher},
    path::Path,
    str::FromStr,
    sync::Arc,
};

use super::{
    DatasetError,
    source::{Described, Opening, Parse, Source},
};

/// In the order in which they are asked whether a text is theirs.
static KINDS: &[Parse] = &[
    #[cfg(feature = "harness")]
    super::pairs::parse,
    #[cfg(feature = "harness")]
    super::trace::parse,
    super::synthetic::parse,
    super::prefix::parse,
    super::sessions::parse,
    super::jsonl::parse,
    super::plain::parse,
    // Any text is a path: this comes last.
    super::sharegpt::parse,
];

/// A dataset as `--dataset` names it: `sharegpt.json`, `random:512:128`. Nothing is read before it is opened.
#[derive(Clone)]
pub struct Dataset(Arc<dyn Described>);

impl Dataset {
    /// One of one's own kind.
    pub fn new(described: impl Described + 'static) -> Self {
        Self(Arc::new(described))
    }

    /// What a workload of it is called, where it was given no name.
    pub fn workload_name(&self) -> String {
        self.0.workload_name()
    }

    /// Its name with a relative path taken from that folder; `None` where it names no file.
    pub fn within(&self, folder: &Path) -> Option<String> {
        self.0.within(folder)
    }

    /// Whether each of its conversations has a time at which it was recorded.
    pub fn has_times(&self) -> bool {
        self.0.has_times()
    }

    /// Looks for its file, without reading it.
    ///
    /// # Errors
    /// Where that is not there.
    pub fn find(&self) -> Result<(), DatasetError> {
        let Some(file) = self.0.file() else { return Ok(()) };
        match std::fs::metadata(file) {
            Ok(_) => Ok(()),
            Err(source) => Err(DatasetError::Read { path: file.display().to_string(), source }),
        }
    }

    /// Makes it ready to give prompts.
    ///
    /// # Errors
    /// Where it can't be read, or gives no prompts.
    pub fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        self.0.open(with)
    }
}

impl FromStr for Dataset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = KINDS.iter().find_map(|parse| parse(text));
        read.unwrap_or_else(|| Err(format!("`{text}` is no dataset"))).map(Self)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// By their spelling.
impl PartialEq for Dataset {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Dataset {}

impl Hash for Dataset {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{dataset::Prompt, fixtures};

    /// Prompts of a dataset by its name, with the fixture's tokenizer.
    pub fn drawn(dataset: &str, seed: u64, num_prompts: usize) -> Vec<Prompt> {
        let with = Opening::new(Arc::new(fixtures::tokenizer().unwrap()));
        dataset.parse::<Dataset>().unwrap().open(&with).unwrap().draw(seed, num_prompts).unwrap()
    }
}
