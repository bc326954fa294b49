//! Words before a prompt that are others in every run, so that no cache knows its beginning.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;

use super::{DatasetError, Policy, Prompt, Tokenizer, WordList};

/// So many tokens are put before each prompt.
pub const NONCE_TOKENS: u32 = 8;
/// Draws before a tokenizer is given up.
const TRIES: usize = 64;

/// The prompts with words before each, which `seed` draws, another set for each prompt. Each is exactly [`NONCE_TOKENS`] tokens
/// longer than before, by the policy's way of counting.
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
    let nonced = |(i, prompt): (usize, &Prompt)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(i as u64);
        with_nonce(prompt, &words, tokenizer, policy, &mut rng)
    };
    let nonced: Vec<Result<Prompt, DatasetError>> = prompts.par_iter().enumerate().map(nonced).collect();
    nonced.into_iter().collect()
}

fn with_nonce(
    prompt: &Prompt,
    words: &WordList,
    tokenizer: &Tokenizer,
    policy: Policy,
    rng: &mut ChaCha8Rng,
) -> Result<Prompt, DatasetError> {
    let tokens = prompt.prompt_tokens + NONCE_TOKENS;
    let error = |why: String| DatasetError::Synthetic { tokens: tokens as usize, why };
    // The end of the words takes a token of its own, or not; a prompt's first word may be another number of tokens there.
    let mut length = NONCE_TOKENS as usize - 1;
    for _ in 0..TRIES {
        let drawn: Vec<&str> = (0..length).map(|_| words.words()[rng.random_range(0..words.words().len())]).collect();
        let nonced = prompt.with_first(&drawn.join(" "));
        let counted = tokenizer.count(&nonced.whole_text(), policy.counts_specials()).map_err(error)? as u32;
        if counted == tokens {
            return Ok(Prompt { prompt_tokens: tokens, ..nonced });
        }
        // At least a few words, so that no other prompt has the same.
        length = (length + tokens as usize).saturating_sub(counted as usize).clamp(4, 2 * NONCE_TOKENS as usize);
    }
    Err(error("its token counts do not add up with words before a prompt".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        dataset::{Opening, SystemTurns},
        fixtures,
    };

    #[test]
    fn prompts_are_exactly_so_much_longer_and_begin_like_no_other() {
        let tokenizer = std::sync::Arc::new(fixtures::tokenizer().unwrap());
        for policy in [Policy::FilterThenSample, Policy::ShuffleThenFilter] {
            let with = Opening {
                tokenizer: tokenizer.clone(),
                policy,
                index: None,
                system_turns: SystemTurns::Keep,
                max_tokens: None,
                stopped: &|| false,
            };
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
}
