//! What one pass sends, and its identity.

use std::{borrow::Cow, fmt, time::Duration};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{History, Message};

/// One prompt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Position of the conversation in the dataset, from 0.
    pub conversation: usize,
    /// Its place in the conversation, from 0. Turns of one conversation follow one another in a list; each is sent when the one before it
    /// has ended.
    pub turn: u32,
    /// How long it waits after that.
    pub pause: Duration,
    /// When its conversation began, from the first of the list, where that was recorded.
    pub arrival: Option<Duration>,
    /// Messages that go before it, the system's among them; mostly none.
    pub before: History,
    /// What is sent: the user's last message.
    pub text: String,
    /// Tokens of the prompt, by the client's tokenizer and the sampler's way of counting.
    pub prompt_tokens: u32,
    /// Those of them, at its beginning, that an earlier prompt of the list begins with, as far as the dataset tells: what a cache without
    /// limits would hold.
    pub shared_tokens: u32,
    /// Tokens of the dataset's own answer, counted likewise: what is asked of the server.
    pub output_tokens: u32,
}

impl Prompt {
    /// A prompt of one's own, and how many tokens are asked for. Its own tokens are not counted.
    pub fn new(text: impl Into<String>, output_tokens: u32) -> Self {
        Self {
            conversation: 0,
            turn: 0,
            pause: Duration::ZERO,
            arrival: None,
            before: History::default(),
            text: text.into(),
            prompt_tokens: 0,
            shared_tokens: 0,
            output_tokens,
        }
    }

    /// Several as the inputs of one request, each with the messages before it; those before the last stand before it.
    #[cfg(feature = "harness")]
    pub(crate) fn batch(prompts: &[Self]) -> Self {
        let Some((last, before)) = prompts.split_last() else { return Self::new("", 0) };
        let input = |prompt: &Self| Message { role: "user".to_owned(), content: prompt.whole_text().into_owned() };
        Self {
            conversation: prompts[0].conversation,
            arrival: prompts[0].arrival,
            before: before.iter().map(input).collect(),
            prompt_tokens: prompts.iter().map(|prompt| prompt.prompt_tokens).sum(),
            ..Self::new(last.whole_text(), last.output_tokens)
        }
    }

    /// The texts of all messages, for APIs that know no messages and for counting: a line break between two.
    pub fn whole_text(&self) -> Cow<'_, str> {
        if self.before.is_empty() {
            return Cow::from(&self.text);
        }
        let texts = self.before.iter().map(|message| message.content.as_str()).chain([self.text.as_str()]);
        Cow::from(texts.collect::<Vec<_>>().join("\n"))
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::new(text, 0)
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::new(text, 0)
    }
}

impl<T: Into<String>> From<(T, u32)> for Prompt {
    fn from((text, output_tokens): (T, u32)) -> Self {
        Self::new(text, output_tokens)
    }
}

/// The prompts of one pass, in sending order.
#[derive(Clone, Debug)]
pub struct Prompts {
    /// The seed that drew them.
    pub seed: u64,
    /// In the order in which they are sent.
    pub prompts: Vec<Prompt>,
}

/// SHA-256 over everything that decides what is sent: two runs with the same digest sent the same bytes of content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Prompts {
    /// The digest of these prompts (position, text and lengths) together with `sampling`, the sampling parameters in any
    /// serializable form.
    pub fn digest(&self, sampling: &impl Serialize) -> Digest {
        let mut hash = Sha256::new();
        let sampling = serde_json::to_vec(sampling).unwrap_or_default();
        hash.update((sampling.len() as u64).to_le_bytes());
        hash.update(&sampling);
        for prompt in &self.prompts {
            hash.update((prompt.conversation as u64).to_le_bytes());
            hash.update(prompt.prompt_tokens.to_le_bytes());
            hash.update(prompt.output_tokens.to_le_bytes());
            hash.update((prompt.text.len() as u64).to_le_bytes());
            hash.update(&prompt.text);
            for Message { role, content } in &prompt.before {
                for text in [role, content] {
                    hash.update((text.len() as u64).to_le_bytes());
                    hash.update(text);
                }
            }
            // A prompt alone is what it has always been.
            if prompt.turn > 0 {
                hash.update(prompt.turn.to_le_bytes());
                hash.update((prompt.pause.as_nanos() as u64).to_le_bytes());
            }
            if let Some(arrival) = prompt.arrival {
                hash.update((arrival.as_nanos() as u64).to_le_bytes());
            }
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Digest(format!("sha256:{hex}"))
    }

    /// Tokens that the whole pass asks of the server.
    pub fn output_tokens(&self) -> u64 {
        self.prompts.iter().map(|p| u64::from(p.output_tokens)).sum()
    }
}
