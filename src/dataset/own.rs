//! Prompts of one's own, from code or from a file: a seed draws which are sent, and in what order.

use std::{fmt, path::Path, sync::Arc};

use rayon::prelude::*;

use super::{
    DatasetError, Policy, Prompt, PythonRandom, Tokenizer,
    source::{Described, Opening, Source},
};

/// A list of prompts in memory.
#[derive(Clone)]
pub struct OwnPrompts {
    name: String,
    prompts: Arc<[Prompt]>,
}

impl OwnPrompts {
    /// Of that name, for reports. A prompt that asks for 0 tokens asks for as many as `max_tokens` says.
    pub fn new(name: impl Into<String>, prompts: impl IntoIterator<Item = impl Into<Prompt>>) -> Self {
        let numbered = |(conversation, prompt): (usize, Prompt)| Prompt { conversation, ..prompt };
        let prompts = prompts.into_iter().map(Into::into).enumerate().map(numbered).collect();
        Self { name: name.into(), prompts }
    }
}

impl fmt::Display for OwnPrompts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Described for OwnPrompts {
    fn workload_name(&self) -> String {
        self.name.clone()
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        Ok(Box::new(Drawn::new(self.name.clone(), self.prompts.to_vec(), with)?))
    }
}

/// A file's name, as far as a benchmark's may have it.
pub(super) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect()
}

/// Prompts whose tokens are counted, to draw from.
pub(super) struct Drawn {
    name: String,
    prompts: Vec<Prompt>,
    package: &'static str,
}

impl Drawn {
    /// Counts the tokens of each, and gives each a length to ask for.
    ///
    /// # Errors
    /// Where one has none, or the tokenizer refuses a text.
    pub fn new(name: String, prompts: Vec<Prompt>, with: &Opening) -> Result<Self, DatasetError> {
        let Opening { tokenizer, policy, max_tokens, .. } = with;
        let (tokenizer, policy, max_tokens) = (&**tokenizer, *policy, *max_tokens);
        let counted = |prompt: Prompt| count(&name, prompt, tokenizer, policy, max_tokens);
        // Of several that can't be counted, the first is told.
        let prompts: Vec<Result<Prompt, DatasetError>> = prompts.into_par_iter().map(counted).collect();
        let prompts = prompts.into_iter().collect::<Result<Vec<Prompt>, DatasetError>>()?;
        Ok(Self { prompts, package: with.tokenizer.package(), name })
    }
}

fn count(
    name: &str,
    prompt: Prompt,
    tokenizer: &Tokenizer,
    policy: Policy,
    max_tokens: Option<u32>,
) -> Result<Prompt, DatasetError> {
    let (path, index) = (name.to_owned(), prompt.conversation);
    let prompt_tokens = tokenizer.count(&prompt.whole_text(), policy.counts_specials());
    let prompt_tokens = prompt_tokens.map_err(|why| DatasetError::Tokenize { path: path.clone(), index, why })? as u32;
    let output_tokens = match (prompt.output_tokens, max_tokens) {
        (0, None) => return Err(DatasetError::NoLength { path, number: index + 1 }),
        (0, Some(tokens)) => tokens,
        (tokens, _) => tokens,
    };
    Ok(Prompt { prompt_tokens, output_tokens, ..prompt })
}

impl Source for Drawn {
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let there = self.prompts.len();
        if num_prompts > there {
            return Err(DatasetError::TooFewPrompts { path: self.name.clone(), wanted: num_prompts, there });
        }
        let chosen = PythonRandom::new(seed).sample(there, num_prompts);
        Ok(chosen.into_iter().map(|i| self.prompts[i].clone()).collect())
    }

    fn counted_by(&self) -> Option<&'static str> {
        Some(self.package)
    }
}
