//! Texts of blocks: the same id gives the same block of words, whatever prompt it stands in.

use std::{collections::HashMap, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::super::{Tokenizer, WordList};

/// Tokens of a whole block.
pub(super) const BLOCK_TOKENS: u32 = 512;

/// The blocks of one seed, each made when it is asked for first.
pub(super) struct Blocks<'a> {
    words: &'a WordList,
    /// Those that are one token also where no space stands before them: a block may be the first of a prompt.
    first: Vec<&'static str>,
    seed: u64,
    made: HashMap<u64, Arc<str>>,
}

impl<'a> Blocks<'a> {
    /// # Errors
    /// What the tokenizer said.
    pub fn new(words: &'a WordList, tokenizer: &Tokenizer, seed: u64) -> Result<Self, String> {
        let mut first = Vec::new();
        for word in words.words() {
            if tokenizer.count(word, false)? == 1 {
                first.push(*word);
            }
        }
        if first.is_empty() {
            first.extend(words.words());
        }
        Ok(Self { words, first, seed, made: HashMap::new() })
    }

    /// The text of a prompt of these blocks, each whole but for the last, which is the beginning of its block.
    pub fn text(&mut self, ids: &[u64], tokens: u32) -> String {
        let mut text = String::with_capacity(tokens as usize * 6);
        let mut left = tokens;
        for id in ids {
            if !text.is_empty() {
                text.push(' ');
            }
            let block = self.block(*id);
            text.push_str(beginning(&block, left.min(BLOCK_TOKENS) as usize));
            left = left.saturating_sub(BLOCK_TOKENS);
        }
        text
    }

    fn block(&mut self, id: u64) -> Arc<str> {
        let Self { words, first, seed, made } = self;
        let block = made.entry(id).or_insert_with(|| {
            // Unlike any that other draws of the seed have.
            let mut key = *b"the seed, and a block's own id..";
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8..16].copy_from_slice(&id.to_le_bytes());
            let mut rng = ChaCha8Rng::from_seed(key);
            let mut text = first[rng.random_range(0..first.len())].to_owned();
            for _ in 1..BLOCK_TOKENS {
                text.push(' ');
                text.push_str(words.words()[rng.random_range(0..words.words().len())]);
            }
            text.into()
        });
        block.clone()
    }
}

/// So many words from the beginning.
fn beginning(block: &str, words: usize) -> &str {
    let end = memchr::memchr_iter(b' ', block.as_bytes()).nth(words.saturating_sub(1));
    end.map_or(block, |end| &block[..end])
}

/// What a cache without limits would hold of each prompt, from those before it.
#[derive(Default)]
pub(super) struct Seen(HashMap<u64, u32>);

impl Seen {
    /// Tokens at the beginning of a prompt that are those of blocks sent before; and the prompt is sent.
    pub fn shared_tokens(&mut self, ids: &[u64], tokens: u32) -> u32 {
        let (mut shared, mut left, mut is_known) = (0, tokens, true);
        for id in ids {
            let size = left.min(BLOCK_TOKENS);
            left -= size;
            let seen = self.0.entry(*id).or_default();
            let before = std::mem::replace(seen, size.max(*seen));
            if is_known {
                shared += before.min(size);
            }
            is_known &= before >= size;
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever two prompts are made of: equal ids are equal blocks of 512 tokens, another id is another block, a part of a block is the
        /// beginning of the whole, and both are as long as they should be.
        #[test]
        fn equal_ids_are_equal_texts(
            seed in any::<u64>(),
            ids in proptest::collection::vec(prop_oneof![0..4u64, any::<u64>()], 1..5),
            others in proptest::collection::vec(prop_oneof![0..4u64, any::<u64>()], 1..5),
            parts in (1..=BLOCK_TOKENS, 1..=BLOCK_TOKENS),
        ) {
            let tokenizer = fixtures::tokenizer().unwrap();
            let words = WordList::new(&tokenizer).unwrap();
            let mut blocks = Blocks::new(&words, &tokenizer, seed).unwrap();
            let tokens = |ids: &[u64], part| (ids.len() as u32 - 1) * BLOCK_TOKENS + part;
            let (length, other_length) = (tokens(&ids, parts.0), tokens(&others, parts.1));
            let text = blocks.text(&ids, length);
            // Made by itself, in another order.
            let other = Blocks::new(&words, &tokenizer, seed).unwrap().text(&others, other_length);
            prop_assert_eq!(tokenizer.count(&text, false).unwrap() as u32, length);
            prop_assert_eq!(tokenizer.count(&other, false).unwrap() as u32, other_length);
            let (text, other): (Vec<&str>, Vec<&str>) = (text.split(' ').collect(), other.split(' ').collect());
            for (mine, id) in text.chunks(BLOCK_TOKENS as usize).zip(&ids) {
                for (theirs, other_id) in other.chunks(BLOCK_TOKENS as usize).zip(&others) {
                    let both = mine.len().min(theirs.len());
                    // So few words may be the same by chance.
                    prop_assert!(both < 16 || (mine[..both] == theirs[..both]) == (id == other_id));
                    prop_assert!(id != other_id || mine[..both] == theirs[..both]);
                }
            }
        }
    }

    #[test]
    fn what_was_sent_before_is_shared() {
        let mut seen = Seen::default();
        for (ids, tokens, shared) in [
            (&[1, 2, 3][..], 1100, 0),
            (&[1, 2, 3], 1100, 1100),
            // The last block was sent in part, and now goes on.
            (&[1, 2, 3, 4], 1600, 1024 + 76),
            (&[1, 2, 3, 4], 2048, 1536 + 64),
            // What comes after another block is of no use.
            (&[9, 2, 3], 1536, 0),
            (&[], 100, 0),
        ] {
            assert_eq!(seen.shared_tokens(ids, tokens), shared, "{ids:?}");
        }
    }
}
