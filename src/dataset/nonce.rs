//! Words before a prompt that are others in every run, so that no cache knows its beginning.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;

use super::{DatasetError, History, Policy, Prompt, Tokenizer, WordList};

/// So many tokens are put before each prompt.
pub const NONCE_TOKENS: u32 = 8;
/// Draws before a tokenizer is given up.
const TRIES: usize = 64;

/// The prompts with words before each, which `seed` draws, another set for each prompt, and the same one for those that share their first
/// message: what the workload lets a cache share within a run stays. Each is exactly [`NONCE_TOKENS`] tokens longer than before, by the
/// policy's way of counting.
///
/// # Errors
/// [`DatasetError::Synthetic`] for a tokenizer that has too few words of one token, or with which the counts do not add up.
pub fn with_nonces(
    prompts: &[Prompt],
    tokenizer: &Tokenizer,
    policy: Policy,
    seed: u64,
) -> Result<Vec<Prompt>, DatasetError> {
    let words = WordList::new(tokenizer)?;
    let (mut conversations, mut first_with, mut position) = (Vec::new(), HashMap::new(), 0);
    for turns in prompts.chunk_by(|_, next| next.turn > 0) {
        let system = turns[0].before.first();
        conversations
            .push((system.map_or(position, |system| *first_with.entry(&system.content).or_insert(position)), turns));
        position += turns.len();
    }
    let nonced = |(stream, turns): (usize, &[Prompt])| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        let first = turns[0].before.first().map_or(&turns[0].text, |message| &message.content);
        Ok(with_first(turns, &nonce(first, &words, tokenizer, policy, &mut rng)?))
    };
    let nonced: Vec<Result<Vec<Prompt>, DatasetError>> = conversations.into_par_iter().map(nonced).collect();
    Ok(nonced.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// The turns of a conversation with words before all else, which are [`NONCE_TOKENS`] long there.
fn with_first(turns: &[Prompt], words: &str) -> Vec<Prompt> {
    // The last turn has the whole history, of which the others have the beginning.
    let mut messages = turns.last().map_or_else(Vec::new, |last| last.before.to_vec());
    if let Some(first) = messages.first_mut() {
        first.content = format!("{words}\n{}", first.content);
    }
    let history = History::from(messages);
    let nonced = |prompt: &Prompt| Prompt {
        before: history.beginning(prompt.before.len()),
        text: if prompt.before.is_empty() { format!("{words}\n{}", prompt.text) } else { prompt.text.clone() },
        prompt_tokens: prompt.prompt_tokens + NONCE_TOKENS,
        shared_tokens: if prompt.shared_tokens > 0 { prompt.shared_tokens + NONCE_TOKENS } else { 0 },
        ..prompt.clone()
    };
    turns.iter().map(nonced).collect()
}

/// Words that make a text longer by [`NONCE_TOKENS`].
fn nonce(
    first: &str,
    words: &WordList,
    tokenizer: &Tokenizer,
    policy: Policy,
    rng: &mut ChaCha8Rng,
) -> Result<String, DatasetError> {
    let count = |text: &str| {
        let counted = tokenizer.count(text, policy.counts_specials());
        counted.map_err(|why| DatasetError::Synthetic { tokens: NONCE_TOKENS as usize, why })
    };
    let tokens = count(first)? + NONCE_TOKENS as usize;
    // The end of the words takes a token of its own, or not; a prompt's first word may be another number of tokens there.
    let mut length = NONCE_TOKENS as usize - 1;
    for _ in 0..TRIES {
        let drawn: Vec<&str> = (0..length).map(|_| words.words()[rng.random_range(0..words.words().len())]).collect();
        let drawn = drawn.join(" ");
        let counted = count(&format!("{drawn}\n{first}"))?;
        if counted == tokens {
            return Ok(drawn);
        }
        // At least a few words, so that no other prompt has the same.
        length = (length + tokens).saturating_sub(counted).clamp(4, 2 * NONCE_TOKENS as usize);
    }
    let why = "its token counts do not add up with words before a prompt".to_owned();
    Err(DatasetError::Synthetic { tokens, why })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::dataset::tests::drawn, *};
    use crate::{dataset::Opening, fixtures};

    #[test]
    fn prompts_are_exactly_so_much_longer_and_begin_like_no_other() {
        let tokenizer = std::sync::Arc::new(fixtures::tokenizer().unwrap());
        for policy in [Policy::FilterThenSample, Policy::ShuffleThenFilter] {
            let with = Opening { policy, ..Opening::new(tokenizer.clone()) };
            let prompts = fixtures::dataset().open(&with).unwrap().draw(0, 300).unwrap();
            let mut beginnings = HashSet::new();
            for seed in [1, 2] {
                let nonced = with_nonces(&prompts, &tokenizer, policy, seed).unwrap();
                for (prompt, before) in nonced.iter().zip(&prompts) {
                    let counted = tokenizer.count(&prompt.text, policy.counts_specials()).unwrap() as u32;
                    assert_eq!((counted, prompt.prompt_tokens), (before.prompt_tokens + 8, before.prompt_tokens + 8));
                    let nonce = prompt.text.strip_suffix(&before.text).unwrap();
                    assert!(beginnings.insert(nonce.to_owned()), "{nonce:?} stands before two prompts");
                    assert_eq!(
                        (prompt.conversation, prompt.output_tokens),
                        (before.conversation, before.output_tokens)
                    );
                }
                assert_eq!(nonced, with_nonces(&prompts, &tokenizer, policy, seed).unwrap());
            }
        }
    }

    #[test]
    fn prompts_that_share_their_beginning_go_on_sharing_it() {
        let tokenizer = fixtures::tokenizer().unwrap();
        let prompts = drawn("prefix:3:20:7:5", 0, 12);
        let beginnings = |prompts: &[Prompt]| -> HashSet<String> {
            prompts.iter().map(|prompt| prompt.before[0].content.clone()).collect()
        };
        let nonced = with_nonces(&prompts, &tokenizer, Policy::FilterThenSample, 1).unwrap();
        assert_eq!(beginnings(&nonced).len(), 3);
        assert!(beginnings(&nonced).is_disjoint(&beginnings(&prompts)));
        for (prompt, before) in nonced.iter().zip(&prompts) {
            assert!(prompt.before[0].content.ends_with(&before.before[0].content));
            assert_eq!(prompt.prompt_tokens, before.prompt_tokens + NONCE_TOKENS);
        }
    }
}
