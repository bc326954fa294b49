//! The engine's cache of prompts: blocks of tokens, the one that was used least recently goes first.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

/// What is known of prompts that were prefilled. A block is known by its tokens and all that go before them.
pub struct PrefixCache {
    block_tokens: usize,
    /// By that: when the block was last used, and its place in its prompt.
    blocks: HashMap<u64, (u64, usize)>,
    /// In the order in which they go: of one prompt's, the last first.
    by_use: BTreeSet<(u64, Reverse<usize>, u64)>,
    uses: u64,
}

impl PrefixCache {
    /// With blocks of so many tokens; empty.
    pub fn new(block_tokens: u32) -> Self {
        Self { block_tokens: block_tokens as usize, blocks: HashMap::new(), by_use: BTreeSet::new(), uses: 0 }
    }

    /// Takes in a prompt, and gives how many tokens at its beginning were there already. The last token is never among them: it has to be
    /// computed again. Then it holds no more than `room` tokens.
    pub fn take_in(&mut self, prompt: &[u32], room: u64) -> u32 {
        self.uses += 1;
        let usable = prompt.len().saturating_sub(1) / self.block_tokens;
        let mut hash = DefaultHasher::new();
        let (mut known, mut is_known) = (0, true);
        for (place, block) in prompt.chunks_exact(self.block_tokens).enumerate() {
            block.hash(&mut hash);
            let id = hash.finish();
            let before = self.blocks.insert(id, (self.uses, place));
            if let Some((used, place)) = before {
                self.by_use.remove(&(used, Reverse(place), id));
            }
            self.by_use.insert((self.uses, Reverse(place), id));
            is_known &= before.is_some() && place < usable;
            known += usize::from(is_known);
        }
        let most = usize::try_from(room).unwrap_or(usize::MAX) / self.block_tokens;
        while self.blocks.len() > most {
            let Some((_, _, id)) = self.by_use.pop_first() else { break };
            self.blocks.remove(&id);
        }
        (known * self.block_tokens) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_of_a_beginning_are_known() {
        let mut cache = PrefixCache::new(4);
        let prompt: Vec<u32> = (0..14).collect();
        assert_eq!(cache.take_in(&prompt, 100), 0);
        // Of three blocks all, and of twelve tokens not the last.
        assert_eq!((cache.take_in(&prompt, 100), cache.take_in(&prompt[..12], 100)), (12, 8));
        let longer: Vec<u32> = (0..40).collect();
        assert_eq!((cache.take_in(&longer, 100), cache.take_in(&longer, 100)), (12, 36));
        // The same tokens after others are another block.
        let other: Vec<u32> = [9].into_iter().chain(1..14).collect();
        assert_eq!((cache.take_in(&other, 100), cache.take_in(&[], 100)), (0, 0));
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let mut cache = PrefixCache::new(2);
        let of = |token: u32| vec![token; 7];
        cache.take_in(&of(1), 6);
        // There is room for three blocks: those of the second push out the first's.
        assert_eq!((cache.take_in(&of(2), 6), cache.take_in(&of(1), 6)), (0, 0));
        // With room for four, the second's last blocks go, and then its first.
        assert_eq!((cache.take_in(&of(2), 8), cache.take_in(&of(1), 100)), (0, 2));
        let mut none = PrefixCache::new(2);
        assert_eq!((none.take_in(&of(1), 0), none.take_in(&of(1), 0)), (0, 0));
    }
}
