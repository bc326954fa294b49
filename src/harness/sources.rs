//! Where the prompts of a run come from: each tokenizer and each dataset is opened once.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use super::RunError;
use crate::{
    client::Sampling,
    config::WorkloadPlan,
    dataset::{
        Dataset, HistoryFrom, Opening, Policy, Prompt, Prompts, Source, SystemTurns, Tokenizer, WordList, draw_pauses,
        letters,
    },
    fixtures,
    load::{Stop, StopReason},
    report::warn,
};

/// Warming up needs no long answers.
const MAX_WARMUP_TOKENS: u32 = 64;

/// Tokenizers and datasets, each opened when it is first needed.
pub struct Sources {
    /// Where what a scan finds is kept for the next run, if it is.
    indexes: Option<PathBuf>,
    /// Ends a scan.
    stop: Stop,
    tokenizers: RefCell<HashMap<Option<PathBuf>, Arc<Tokenizer>>>,
    opened: RefCell<HashMap<Key, Rc<dyn Source>>>,
    /// Remarks on datasets, each told once.
    told: RefCell<HashSet<String>>,
}

type Key = (Dataset, Option<PathBuf>, Policy, SystemTurns, HistoryFrom, usize, [Option<u32>; 2], Option<String>);

impl Sources {
    /// None is opened yet.
    pub fn new(indexes: Option<PathBuf>, stop: Stop) -> Self {
        Self { indexes, stop, tokenizers: RefCell::default(), opened: RefCell::default(), told: RefCell::default() }
    }

    /// The tokenizer at a path, or the fixture's.
    pub fn tokenizer(&self, path: Option<&PathBuf>) -> Result<Arc<Tokenizer>, RunError> {
        if let Some(loaded) = self.tokenizers.borrow().get(&path.cloned()) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(match path {
            Some(path) => Tokenizer::load(path)?,
            None => fixtures::tokenizer()?,
        });
        self.tokenizers.borrow_mut().insert(path.cloned(), loaded.clone());
        Ok(loaded)
    }

    /// The prompts of a workload that a seed draws.
    pub fn prompts(&self, spec: &WorkloadPlan, seed: u64) -> Result<Prompts, RunError> {
        let known = self.opened.borrow().get(&key(spec)).cloned();
        let source = match known {
            Some(source) => source,
            None => {
                let with = Opening {
                    tokenizer: self.tokenizer(spec.tokenizer.as_ref())?,
                    policy: spec.sampler,
                    system_turns: spec.system_turns,
                    max_tokens: spec.sampling.max_tokens,
                    min_turns: spec.min_turns,
                    max_context: spec.max_context,
                    history_from: spec.history_from,
                    trace_window: spec.trace_window,
                    index: self.indexes.as_deref(),
                    stopped: &|| self.stop.reason() == Some(StopReason::Interrupted),
                };
                let source: Rc<dyn Source> = Rc::from(spec.dataset.open(&with)?);
                self.opened.borrow_mut().insert(key(spec), source.clone());
                source
            }
        };
        let inputs = spec.inputs();
        let mut drawn = source.draw(seed, spec.num_prompts * inputs)?;
        if let Some(think_time) = &spec.think_time {
            draw_pauses(&mut drawn, think_time, seed);
            if seed == spec.seed && drawn.iter().all(|prompt| prompt.turn == 0) {
                warn(format!("--think-time means nothing here: no prompt of {} is a later turn", spec.dataset));
            }
        }
        if let Some(remark) = source.remark().filter(|remark| self.told.borrow_mut().insert(remark.clone())) {
            warn(remark);
        }
        Ok(Prompts {
            seed,
            prompts: if inputs == 1 { drawn } else { drawn.chunks(inputs).map(Prompt::batch).collect() },
        })
    }

    /// The package that counted the tokens of a workload's prompts, once they are drawn.
    pub fn counted_by(&self, spec: &WorkloadPlan) -> Option<String> {
        let opened = self.opened.borrow();
        opened.get(&key(spec)).and_then(|source| source.counted_by()).map(str::to_owned)
    }

    /// Prompts for the requests before the first pass: synthetic, so that none of them is measured later or waits in a
    /// prefix cache, and of the workload's own median lengths.
    pub fn warmup(&self, spec: &WorkloadPlan, measured: &Prompts, n: usize) -> Result<Vec<Prompt>, RunError> {
        let tokenizer = self.tokenizer(spec.tokenizer.as_ref())?;
        let median = |of: fn(&Prompt) -> u32| {
            let mut lengths: Vec<u32> = measured.prompts.iter().map(of).collect();
            lengths.sort_unstable();
            lengths.get(lengths.len() / 2).copied().unwrap_or(1)
        };
        let (prompt_tokens, output_tokens) = (median(|p| p.prompt_tokens), median(|p| p.output_tokens));
        let output_tokens = output_tokens.min(MAX_WARMUP_TOKENS);
        let inputs = spec.inputs();
        let (seed, n, tokens) = (!spec.seed, n * inputs, prompt_tokens.div_ceil(inputs as u32));
        let prompts = match WordList::new(&tokenizer) {
            Ok(words) => words.prompts(&tokenizer, seed, n, tokens, output_tokens)?,
            // A tokenizer of other words: the lengths are about the same.
            Err(_) => {
                let characters = measured.prompts.iter().map(|prompt| prompt.text.chars().count());
                let characters = characters.sum::<usize>() / measured.prompts.len().max(1);
                letters(&tokenizer, seed, n, characters, output_tokens).map_err(RunError::Count)?
            }
        };
        Ok(prompts.chunks(inputs).map(Prompt::batch).collect())
    }
}

fn key(spec: &WorkloadPlan) -> Key {
    let Sampling { max_tokens, .. } = spec.sampling;
    let tokens = [max_tokens, spec.max_context];
    (
        spec.dataset.clone(),
        spec.tokenizer.clone(),
        spec.sampler,
        spec.system_turns,
        spec.history_from,
        spec.min_turns,
        tokens,
        spec.trace_window.map(|window| window.to_string()),
    )
}

/// The sampling parameters of warm-up requests: those of the workload, with the lengths of the warm-up prompts.
pub fn warmup_sampling(sampling: &Sampling) -> Sampling {
    Sampling { max_tokens: sampling.max_tokens.map(|n| n.min(MAX_WARMUP_TOKENS)), ..sampling.clone() }
}
