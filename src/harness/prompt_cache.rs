//! Whether the server's prompt cache may have served what is measured.
//!
//! Servers keep the beginnings of prompts that they have computed, and mostly do not say when they use them: the same fixed-seed
//! prompts sent again look like a speed-up. So a prompt of its own is sent twice, a few times over, before prompts are sent that
//! went to the server before.

use std::sync::Arc;

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    RunError,
    run::Output,
    session::{PromptsOf, Server, Session},
};
use crate::{
    client::{Client, PerThread, Record, RequestWriter, Sampling},
    config,
    dataset::{Prompt, WordList},
    report::Report,
};

/// What sending prompts twice has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// Whether the server caches prompts; `None` where it did not answer, or no prompt could be made.
    pub caches: Option<bool>,
    /// How much longer it took for a new prompt than for one that it had answered, at the median.
    pub factor: Option<f64>,
    /// Whether it says how many tokens came from its cache.
    pub reports: bool,
}

/// Pairs of requests; one before them is for warming up.
const ROUNDS: usize = 5;
/// Pairs that have to speak for a cache.
const LEAST_ROUNDS: usize = 4;
/// Tokens of a prompt: blocks of caches are 16 to 256 tokens long. The second number is for servers that take no more.
const LENGTHS: [u32; 2] = [1024, 256];
/// By so much a known prompt has to be faster.
const LEAST_FACTOR: f64 = 1.25;

/// Sends prompts twice. A server that fails is not this one's business: the measurement will show it.
pub fn probe(session: &Session, server: &Server, spec: &config::Workload, output: Output) -> Result<Probed, RunError> {
    if let Some(known) = session.probed.get() {
        return Ok(*known);
    }
    output.status("Finding out whether the server caches prompts: sending a long one twice, five times over");
    let unknown = Probed { caches: None, factor: None, reports: false };
    let tokenizer = session.tokenizer(spec.tokenizer.as_ref())?;
    let Ok(words) = WordList::new(&tokenizer) else { return Ok(unknown) };
    let mut rng = ChaCha8Rng::seed_from_u64(session.nonce_seed);
    let mut found = unknown;
    for tokens in LENGTHS {
        let mut prompts = Vec::new();
        for index in 0..=ROUNDS {
            let Ok(text) = words.text(tokens as usize, &tokenizer, &mut rng) else { return Ok(unknown) };
            let prompt = Prompt { index, text, prompt_tokens: tokens, output_tokens: 1 };
            prompts.extend([prompt.clone(), prompt]);
        }
        let records = send(session, server, spec, &prompts)?;
        if let Some(pairs) = pairs(&records) {
            found = judge(&pairs[1..], records.iter().any(|r| r.usage.is_some_and(|u| u.cached_tokens.is_some())));
            break;
        }
    }
    Ok(*session.probed.get_or_init(|| found))
}

/// One after another, on one connection, for a token each.
fn send(
    session: &Session,
    server: &Server,
    spec: &config::Workload,
    prompts: &[Prompt],
) -> Result<Vec<Record>, RunError> {
    let sampling = Sampling { max_tokens: Some(1), ..spec.sampling.clone() };
    let writer = RequestWriter::new(&server.target.url, &server.model, &sampling, &server.headers);
    let mut client = Client::new(server.target.clone(), Arc::new(writer), sampling.stream, 0, PerThread::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| RunError::Setup(e.to_string()))?;
    let all = async {
        let mut records = Vec::new();
        for prompt in prompts {
            let record = client.complete(prompt.index, prompt, 1, "tachometer-probe").await;
            let completed = record.is_completed();
            records.push(record);
            if !completed {
                break;
            }
        }
        records
    };
    let records = runtime.block_on(session.stop.unless_stopped(all));
    runtime.shutdown_background();
    records.ok_or(RunError::Interrupted)
}

/// How long the first and the second of each pair took, in seconds; `None` where one of them failed.
fn pairs(records: &[Record]) -> Option<Vec<(f64, f64)>> {
    let time = |record: &Record| record.ttft_s().or(record.e2e_s()).filter(|_| record.is_completed());
    if records.len() != 2 * (ROUNDS + 1) {
        return None;
    }
    records.chunks_exact(2).map(|pair| time(&pair[0]).zip(time(&pair[1]))).collect()
}

fn judge(pairs: &[(f64, f64)], reports: bool) -> Probed {
    let mut factors: Vec<f64> = pairs.iter().map(|(new, known)| new / known.max(1e-9)).collect();
    factors.sort_unstable_by(f64::total_cmp);
    let faster = factors.iter().filter(|factor| **factor >= LEAST_FACTOR).count();
    Probed { caches: Some(faster >= LEAST_ROUNDS), factor: factors.get(factors.len() / 2).copied(), reports }
}

/// The earlier run that has sent some of these prompts to this server, if one has.
pub fn sent_by<'a>(runs: impl Iterator<Item = &'a Report>, server: &str, prompts: &PromptsOf) -> Option<String> {
    // Where words stood before each prompt, none of them is known by its beginning.
    let runs = runs.filter(|run| run.server.identity() == server && run.workload.nonce_seed.is_none());
    let of = |run: &Report| PromptsOf {
        dataset: run.workload.dataset.clone(),
        sampler: run.workload.sampler,
        seeds: run.passes.iter().map(|pass| pass.seed).collect(),
    };
    let last = runs.filter(|run| of(run).overlap(prompts)).max_by(|a, b| a.started_at.cmp(&b.started_at))?;
    let when = last.started_at.get(..16).unwrap_or(&last.started_at).replace('T', " ");
    Some(format!("{} of {when}", last.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_shows_in_four_of_five_pairs() {
        let table: &[([(f64, f64); 5], bool)] = &[
            ([(2.0, 1.0), (2.0, 1.0), (2.0, 1.0), (2.0, 1.0), (2.0, 1.0)], true),
            ([(2.0, 1.0), (1.0, 2.0), (1.25, 1.0), (2.0, 1.0), (2.0, 1.0)], true),
            ([(2.0, 1.0), (1.0, 1.0), (1.2, 1.0), (2.0, 1.0), (2.0, 1.0)], false),
            ([(1.0, 1.0), (1.0, 1.1), (1.1, 1.0), (1.0, 1.0), (9.0, 1.0)], false),
        ];
        for (pairs, caches) in table {
            let probed = judge(pairs, false);
            assert_eq!(probed.caches, Some(*caches), "{pairs:?}");
        }
        assert_eq!(judge(&table[1].0, true).factor, Some(2.0));
    }
}
