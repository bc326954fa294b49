//! What tells one pass from another: the seed of its prompts, and the digest of what is sent.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    config,
    dataset::{Digest, HistoryFrom, NONCE_TOKENS, Prompt, Prompts},
    load::LoadPoint,
};

/// What is measured: a run, or a half of a calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// A run, or the first half.
    First,
    /// The second half.
    Second,
}

/// The seed of a pass's prompts. With fresh prompts each load point has seeds of its own, and so has the second half of a
/// calibration: the same ones in every run.
pub fn seed_of(spec: &config::WorkloadPlan, load: &LoadPoint, half: Half, draw: usize) -> u64 {
    let seed = spec.seed + draw as u64;
    if !spec.fresh_prompts {
        return seed;
    }
    // Far apart, and still whole numbers to whoever reads JSON's as floating-point ones.
    seed.wrapping_add(hash_of(&format!("{} {half:?}", load.shape().name())) << 12)
}

/// A number of 40 bits, the same everywhere and always.
pub fn hash_of(text: &str) -> u64 {
    Sha256::digest(text)[..5].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The identity of what is sent. Words before each prompt, which are others in every run, are no part of it; that there are
/// some is.
pub fn digest(workload: &Prompts, spec: &config::WorkloadPlan) -> Digest {
    match spec.duration {
        // The two never meet.
        Some(time) => with_history(workload, spec, &(&spec.sampling, "duration_s", time.as_secs_f64())),
        None if spec.cache_bust => with_history(workload, spec, &(&spec.sampling, "cache_bust", NONCE_TOKENS)),
        None => with_history(workload, spec, &spec.sampling),
    }
}

/// Whether what is sent hangs on the server's answers is part of it, too.
fn with_history(workload: &Prompts, spec: &config::WorkloadPlan, settings: &impl Serialize) -> Digest {
    match history_from(&workload.prompts, spec) {
        Some(HistoryFrom::Server) => workload.digest(&(settings, "history_from", HistoryFrom::Server)),
        _ => workload.digest(settings),
    }
}

/// Whose answers stand before later turns; `None` where there are none.
pub fn history_from(prompts: &[Prompt], spec: &config::WorkloadPlan) -> Option<HistoryFrom> {
    has_turns(prompts).then_some(spec.history_from)
}

/// Whether any of them is a later turn of a conversation.
pub fn has_turns(prompts: &[Prompt]) -> bool {
    prompts.iter().any(|prompt| prompt.turn > 0)
}
