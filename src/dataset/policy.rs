//! Which conversations may be drawn, and how.

use std::{fmt, str::FromStr};

/// How prompts are drawn from the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// LMDeploy 2023 (`profile_restful_api.py`): drop what does not fit, then `random.sample`. Counts tokens without the
    /// special ones.
    FilterThenSample,
    /// SGLang, vLLM and today's LMDeploy: `random.shuffle`, then the first N that fit. Counts the special tokens that the
    /// tokenizer adds.
    ShuffleThenFilter,
}

impl Policy {
    /// Whether token counts include the special tokens that the tokenizer adds on its own.
    pub fn counts_specials(self) -> bool {
        self == Self::ShuffleThenFilter
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::FilterThenSample => "filter-then-sample",
            Self::ShuffleThenFilter => "shuffle-then-filter",
        })
    }
}

impl FromStr for Policy {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "filter-then-sample" => Ok(Self::FilterThenSample),
            "shuffle-then-filter" => Ok(Self::ShuffleThenFilter),
            _ => Err(format!("`{s}` is not a sampler: use filter-then-sample or shuffle-then-filter")),
        }
    }
}

/// What becomes of a conversation that the system begins, as some of the published files have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemTurns {
    /// As the Python tools do: its first turn is the prompt, whoever speaks it, and the second one's length is asked for.
    #[default]
    Keep,
    /// Without that turn.
    Drop,
    /// That turn goes before the prompt, as the system's message.
    Send,
}

impl SystemTurns {
    const ALL: [(&'static str, Self); 3] = [("keep", Self::Keep), ("drop", Self::Drop), ("send", Self::Send)];
}

impl fmt::Display for SystemTurns {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, value)| value == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for SystemTurns {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == s);
        found.map(|(_, value)| *value).ok_or_else(|| format!("`{s}` is not keep, drop or send"))
    }
}

/// Which conversations may be drawn, in tokens. The defaults are those of all the Python tools.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Least tokens of a prompt, and of an answer.
    pub min_tokens: usize,
    /// Most tokens of a prompt.
    pub max_prompt: usize,
    /// Most tokens of prompt and answer together.
    pub max_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_tokens: 4, max_prompt: 1024, max_total: 2048 }
    }
}
