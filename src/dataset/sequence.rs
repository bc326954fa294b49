//! Prompts in sending order, and which of them follow one another.

use std::{
    ops::{Deref, Range},
    sync::Arc,
};

use super::Prompt;

/// The prompts of a pass. It derefs to a slice of them. The turns of a conversation stand one after the other; each but the first is sent
/// when the one before it has ended. A prompt alone is a conversation of one turn.
#[derive(Clone, Debug)]
pub struct Sequence {
    prompts: Arc<[Prompt]>,
    /// Where each conversation begins, where any has more than one turn.
    starts: Option<Arc<[usize]>>,
    is_live: bool,
}

impl Sequence {
    /// With the answers that the server gives in the history of later turns, in place of those that stand there.
    #[must_use]
    pub fn live(self) -> Self {
        Self { is_live: self.has_turns(), ..self }
    }

    /// Whether the server's own answers stand in the history of later turns.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// The number of conversations.
    pub fn conversations(&self) -> usize {
        self.starts.as_ref().map_or(self.prompts.len(), |starts| starts.len())
    }

    /// The positions of a conversation's turns.
    pub fn turns(&self, conversation: usize) -> Range<usize> {
        let Some(starts) = &self.starts else { return conversation..conversation + 1 };
        starts[conversation]..starts.get(conversation + 1).copied().unwrap_or(self.prompts.len())
    }

    /// Whether any conversation has more than one turn.
    pub fn has_turns(&self) -> bool {
        self.starts.is_some()
    }
}

impl From<Vec<Prompt>> for Sequence {
    fn from(prompts: Vec<Prompt>) -> Self {
        let starts: Option<Arc<[usize]>> = prompts.iter().any(|prompt| prompt.turn > 0).then(|| {
            let begins = |(i, prompt): (usize, &Prompt)| (prompt.turn == 0 || i == 0).then_some(i);
            prompts.iter().enumerate().filter_map(begins).collect()
        });
        Self { prompts: prompts.into(), starts, is_live: false }
    }
}

impl<const N: usize> From<[Prompt; N]> for Sequence {
    fn from(prompts: [Prompt; N]) -> Self {
        prompts.to_vec().into()
    }
}

impl FromIterator<Prompt> for Sequence {
    fn from_iter<I: IntoIterator<Item = Prompt>>(prompts: I) -> Self {
        prompts.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for Sequence {
    type Target = [Prompt];
    fn deref(&self) -> &[Prompt] {
        &self.prompts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(turns: &[u32]) -> Sequence {
        turns.iter().map(|&turn| Prompt { turn, ..Prompt::new("a", 1) }).collect()
    }

    #[test]
    fn turns_follow_one_another() {
        let alone = sequence(&[0, 0, 0]);
        assert_eq!((alone.conversations(), alone.turns(1), alone.has_turns()), (3, 1..2, false));
        let turns = sequence(&[0, 1, 2, 0, 0, 1]);
        assert_eq!((turns.conversations(), turns.has_turns(), turns.len()), (3, true, 6));
        assert_eq!([0, 1, 2].map(|i| turns.turns(i)), [0..3, 3..4, 4..6]);
        assert_eq!(sequence(&[]).conversations(), 0);
    }
}
