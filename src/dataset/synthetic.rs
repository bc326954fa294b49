//! Prompts of exact lengths, in tokens, for those who have no dataset: `random:PROMPT_TOKENS:OUTPUT_TOKENS`.

use std::{fmt, sync::Arc};

use super::{
    DatasetError, Prompt, Tokenizer, WordList,
    source::{Described, Opening, Source},
};

#[derive(Clone, Copy)]
struct Random {
    prompt_tokens: u32,
    output_tokens: u32,
}

struct Words {
    lengths: Random,
    tokenizer: Arc<Tokenizer>,
    list: WordList,
}

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let lengths = text.strip_prefix("random:")?;
    let parsed = lengths.split_once(':').and_then(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
    Some(match parsed {
        Some((prompt_tokens @ 1.., output_tokens @ 1..)) => Ok(Arc::new(Random { prompt_tokens, output_tokens })),
        _ => Err(format!("`{text}` is not random:PROMPT_TOKENS:OUTPUT_TOKENS with two numbers above 0")),
    })
}

impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "random:{}:{}", self.prompt_tokens, self.output_tokens)
    }
}

impl Described for Random {
    fn workload_name(&self) -> String {
        format!("random-{}-{}", self.prompt_tokens, self.output_tokens)
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let tokenizer = with.tokenizer.clone();
        let list = WordList::new(&tokenizer)?;
        Ok(Box::new(Words { lengths: *self, tokenizer, list }))
    }
}

impl Source for Words {
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let Random { prompt_tokens, output_tokens } = self.lengths;
        self.list.prompts(&self.tokenizer, seed, num_prompts, prompt_tokens, output_tokens)
    }
}
