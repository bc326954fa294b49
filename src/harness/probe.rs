//! Finds out whether a server caches prompts: a prompt of its own is sent twice, a few times over.

use std::sync::Arc;

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    RunError,
    prompt_cache::Probed,
    session::{Server, Session},
};
use crate::{
    client::{Client, PerThread, Record, RequestWriter, Sampling},
    config,
    dataset::{Prompt, WordList},
    report::Output,
};

/// Pairs of requests; one before them is for warming up.
const ROUNDS: usize = 5;
/// Pairs that have to speak for a cache.
const LEAST_ROUNDS: usize = 4;
/// Tokens of a prompt: blocks of caches are 16 to 256 tokens long. The second number is for servers that take no more.
const LENGTHS: [u32; 2] = [1024, 256];
/// By so much a known prompt has to be faster.
const LEAST_FACTOR: f64 = 1.25;

/// Sends prompts twice. A server that fails is not this one's business: the measurement will show it.
pub fn probe(
    session: &Session,
    server: &Server,
    spec: &config::WorkloadPlan,
    output: Output,
) -> Result<Probed, RunError> {
    if let Some(known) = session.probed.get() {
        return Ok(*known);
    }
    output.status("Checking whether the server caches prompts: sending five long prompts twice each");
    let unknown = Probed { caches: None, factor: None, reports: false };
    let tokenizer = session.sources.tokenizer(spec.tokenizer.as_ref())?;
    let Ok(words) = WordList::new(&tokenizer) else { return Ok(unknown) };
    let mut rng = ChaCha8Rng::seed_from_u64(session.nonce_seed);
    let mut found = unknown;
    for tokens in LENGTHS {
        let mut prompts = Vec::new();
        for conversation in 0..=ROUNDS {
            let Ok(text) = words.text(tokens as usize, &tokenizer, &mut rng) else { return Ok(unknown) };
            let prompt = Prompt { conversation, prompt_tokens: tokens, ..Prompt::new(text, 1) };
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
    spec: &config::WorkloadPlan,
    prompts: &[Prompt],
) -> Result<Vec<Record>, RunError> {
    let sampling = Sampling { max_tokens: Some(1), ..spec.sampling.clone() };
    let writer = RequestWriter::new(&server.target.url, &server.model, &sampling, &server.headers);
    let mut client = Client::new(server.target.clone(), Arc::new(writer), 0, PerThread::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| RunError::Setup(e.to_string()))?;
    let all = async {
        let mut records = Vec::new();
        for prompt in prompts {
            let record = client.complete(prompt.conversation, prompt, 1, "tachometer-probe").await;
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
