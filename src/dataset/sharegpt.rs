//! A ShareGPT file, drawn from as the Python serving benchmarks do.

use std::{fmt, path::Path, sync::Arc};

use super::{
    DatasetError, Prompt, Sampler, ShareGpt,
    source::{Described, Opening, Source},
};

/// Any text is a path; so this is the last to be asked.
pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    Some(Ok(Arc::new(ShareGpt::file(text))))
}

impl fmt::Display for ShareGpt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Described for ShareGpt {
    fn workload_name(&self) -> String {
        "sharegpt".to_owned()
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let (tokenizer, policy) = (with.tokenizer.clone(), with.policy);
        let sampler = match with.index {
            Some(folder) => {
                Sampler::with_index(self.clone(), tokenizer, policy, with.system_turns, folder, with.stopped)?
            }
            None => Sampler::scan(self.clone(), tokenizer, policy, with.system_turns, with.stopped)?,
        };
        Ok(Box::new(sampler))
    }
}

impl Source for Sampler {
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        Self::draw(self, seed, num_prompts)
    }

    fn remark(&self) -> Option<String> {
        let of_system = Some(self.of_system()).filter(|n| *n > 0)?;
        Some(format!(
            "{of_system} of these prompts are the system turn of a conversation, sent as the prompt, as the Python tools do; \
             --system-turns drop or send uses the user's turn instead"
        ))
    }

    fn counted_by(&self) -> Option<&'static str> {
        Some(self.counted_by())
    }
}
