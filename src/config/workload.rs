//! What a benchmark sends, checked.

use std::{path::PathBuf, time::Duration};

use super::{
    ConfigError, Warmup,
    load::duration,
    seconds::seconds,
    server::timeouts,
    settings::Values,
    terms::{objectives, terms},
};
use crate::{
    client::{Sampling, Timeouts},
    compare::Terms,
    dataset::{Dataset, Distribution, HistoryFrom, Policy, SystemTurns, TraceWindow},
    fixtures,
    load::{FailureBudget, LoadPoint},
    metrics::{Goodput, Objective},
};

/// Where their number is not fixed.
pub(crate) const MOST_PASSES: usize = 1000;
const TINY_PROMPTS: usize = 6;
const TINY_TOKENS: u32 = 8;
/// Where bodies have the prompt, whatever the API.
const PROMPT_FIELDS: [&str; 5] = ["messages", "prompt", "input", "inputs", "text"];

/// What is sent, and how often.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkloadPlan {
    /// E.g. `sharegpt`.
    pub name: String,
    /// Where prompts come from.
    pub dataset: Dataset,
    /// What counts tokens; `None` is the crate's own fixture.
    pub tokenizer: Option<PathBuf>,
    /// How prompts are drawn.
    pub sampler: Policy,
    /// What becomes of conversations that the system begins.
    pub system_turns: SystemTurns,
    /// Conversations with fewer turns are left out.
    pub min_turns: usize,
    /// Tokens that a turn and all before it may have.
    pub max_context: Option<u32>,
    /// Whose answers stand before later turns.
    pub history_from: HistoryFrom,
    /// Seconds from an answer to the next turn, where they are not those of the dataset.
    pub think_time: Option<Distribution>,
    /// The part of a trace that is sent.
    pub trace_window: Option<TraceWindow>,
    /// Of the first pass.
    pub seed: u64,
    /// Of a pass.
    pub num_prompts: usize,
    /// How long a pass goes on, where it does not send each of them once.
    pub duration: Option<Duration>,
    /// Inputs of a request, where the API takes several.
    pub batch: usize,
    /// Whether each load point, and each half of a calibration, draws prompts of its own.
    pub fresh_prompts: bool,
    /// Whether words that are others in every run stand before each prompt.
    pub cache_bust: bool,
    /// Passes.
    pub sample_size: usize,
    /// What is sent before the first pass; `None` leaves it to the load.
    pub warmup: Option<Warmup>,
    /// The model that was named.
    pub model: Option<String>,
    /// What is asked beside the prompt.
    pub sampling: Sampling,
    /// How long each part of a request may take.
    pub timeouts: Timeouts,
    /// How many requests of a pass may fail.
    pub max_failures: FailureBudget,
    /// How often a failed request is sent again.
    pub retries: u32,
    /// What a comparison goes by.
    pub terms: Terms,
    /// What the server is to hold.
    pub objectives: Vec<Objective>,
    /// Limits within which a request is good.
    pub goodput: Option<Goodput>,
}

impl WorkloadPlan {
    /// Texts of a request.
    pub(crate) fn inputs(&self) -> usize {
        self.sampling.api.texts(self.batch)
    }

    /// What is sent before the first pass at a load: enough to open every path once, no more.
    pub fn warmup_at(&self, load: &LoadPoint) -> Warmup {
        self.warmup.unwrap_or(Warmup::Requests(load.shape().connections(self.num_prompts).min(16)))
    }
}

/// The workload of this name with these values; with `tiny`, what a test run sends in its place.
pub(super) fn workload(
    name: String,
    named: Option<Dataset>,
    values: &Values,
    live: bool,
    tiny: bool,
) -> Result<WorkloadPlan, ConfigError> {
    let at_least_1 = |flag: &str, value: usize| match value {
        0 => Err(ConfigError::value(flag, "0 would measure nothing: use 1 or more")),
        n => Ok(n),
    };
    if values.trace_window.is_some() && !named.as_ref().is_some_and(Dataset::has_times) {
        return Err(ConfigError::value(
            "--trace-window",
            "it selects part of a trace: give one with --dataset trace:FILE",
        ));
    }
    let name = match (name.is_empty(), &named) {
        (false, _) => name,
        (true, Some(dataset)) => dataset.workload_name(),
        (true, None) => fixtures::dataset().workload_name(),
    };
    let dataset = match named {
        Some(dataset) if !tiny => dataset,
        None if live && !tiny => {
            let prompts = "a live server needs prompts: name a ShareGPT file, one of your own (FILE.jsonl), sessions:FILE, trace:FILE, or \
                           random:PROMPT_TOKENS:OUTPUT_TOKENS";
            // All that is missing at once.
            let tokenizer =
                "; and give --tokenizer its tokenizer.json, tokenizer.model or folder, to count their tokens";
            let why = format!("{prompts}{}", if values.tokenizer.is_none() { tokenizer } else { "" });
            return Err(ConfigError::value("--dataset", why));
        }
        _ => fixtures::dataset(),
    };
    if live && !tiny && values.tokenizer.is_none() {
        let why = "a live server's prompts are counted with its own tokenizer: give its tokenizer.json, tokenizer.model or folder";
        return Err(ConfigError::value("--tokenizer", why));
    }
    let field = &values.max_tokens_field;
    if !matches!(field.as_str(), "max_tokens" | "max_completion_tokens") {
        let why = format!("`{field}` is neither max_tokens nor max_completion_tokens");
        return Err(ConfigError::value("--max-tokens-field", why));
    }
    if values.max_tokens == Some(0) {
        return Err(ConfigError::value("--max-tokens", "0 tokens are no answer: use 1 or more"));
    }
    let sampling = Sampling {
        api: values.api,
        stream: values.stream && values.api.generates(),
        ignore_eos: values.ignore_eos,
        temperature: in_range("--temperature", values.temperature, 0.0, 100.0)?,
        top_p: in_range("--top-p", values.top_p, 0.0, 1.0)?,
        max_tokens: if tiny { Some(TINY_TOKENS) } else { values.max_tokens },
        max_tokens_field: field.clone(),
        include_usage: values.include_usage,
        extra_body: values.extra_body.clone().filter(|_| !tiny).unwrap_or_default(),
    };
    if let Some(field) = PROMPT_FIELDS.iter().find(|field| sampling.extra_body.contains_key(**field)) {
        let why = format!("`{field}` is the prompt's place, and prompts come from --dataset");
        return Err(ConfigError::value("--extra-body", why));
    }
    if at_least_1("--batch", values.batch)? > 1 && sampling.api.generates() {
        let why = format!("--api {} takes one prompt a request", sampling.api);
        return Err(ConfigError::value("--batch", why));
    }
    let num_prompts = at_least_1("--num-prompts", values.num_prompts)?;
    let sample_size = at_least_1("--sample-size", values.sample_size)?;
    if let Some(Warmup::Time(time)) = values.warmup.filter(|_| !tiny) {
        seconds("--warmup", time.as_secs_f64())?;
    }
    if values.seed.checked_add(sample_size.max(MOST_PASSES) as u64).is_none() {
        let why = format!("{} is too large: later passes add to it", values.seed);
        return Err(ConfigError::value("--seed", why));
    }
    Ok(WorkloadPlan {
        name,
        dataset,
        tokenizer: values.tokenizer.clone().filter(|_| !tiny),
        sampler: values.sampler,
        system_turns: values.system_turns,
        min_turns: at_least_1("--min-turns", values.min_turns)?,
        max_context: values.max_context,
        history_from: values.history_from,
        think_time: values.think_time.filter(|_| !tiny),
        trace_window: values.trace_window.filter(|_| !tiny),
        seed: values.seed,
        num_prompts: if tiny { TINY_PROMPTS } else { num_prompts },
        duration: duration(values)?.filter(|_| !tiny),
        batch: values.batch,
        fresh_prompts: values.fresh_prompts && !tiny,
        cache_bust: values.cache_bust && !tiny,
        sample_size: if tiny { 1 } else { sample_size },
        warmup: if tiny { Some(Warmup::Requests(1)) } else { values.warmup },
        model: values.model.clone().filter(|_| !tiny),
        sampling,
        timeouts: timeouts(values)?,
        max_failures: values.max_failures,
        retries: values.retries,
        terms: terms(values)?,
        objectives: objectives(values)?,
        goodput: values.goodput.clone(),
    })
}

fn in_range(flag: &str, value: f64, least: f64, most: f64) -> Result<f64, ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::value(flag, format!("{value} is not between {least} and {most}")))
}
