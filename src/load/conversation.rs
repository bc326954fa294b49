//! The turns of a conversation, one after the other.

use std::{borrow::Cow, time::Duration};

use super::pass::Pass;
use crate::{
    client::{Client, Record, clock::now_ns},
    dataset::{Message, Prompt},
};

/// What the next turn must know of the one before it.
pub(super) struct Ended {
    is_completed: bool,
    end_ns: u64,
    /// The answer and its tokens, where they stand in the history of what follows.
    answer: Option<(String, u32)>,
}

impl Ended {
    /// Of a record and the client that has just read the answer.
    pub fn of(record: &Record, client: &Client, pass: &Pass) -> Self {
        let tokens = record.usage.and_then(|usage| usage.completion_tokens).unwrap_or(record.token_events);
        Self {
            is_completed: record.is_completed(),
            end_ns: record.end_ns,
            answer: pass.prompts.is_live().then(|| (client.last_text().to_owned(), tokens)),
        }
    }
}

/// Sends a conversation's turns, each when the one before it has ended and its pause is over, until one fails, or the pass is over; gives how
/// many were not sent. `send` gets a turn's position, the prompt, and in an open loop when it is due, in nanoseconds of the monotonic clock.
pub(super) async fn converse(
    pass: &Pass,
    number: usize,
    mut due_ns: Option<u64>,
    ends_ns: Option<u64>,
    mut send: impl AsyncFnMut(usize, &Prompt, Option<u64>) -> Ended,
) -> usize {
    let turns = pass.turns(number);
    let end = turns.end;
    let mut live: Option<Live> = None;
    let mut before: Option<Ended> = None;
    for index in turns {
        let prompt = pass.prompt(index);
        if let Some(before) = before.take() {
            if !before.is_completed || !is_still_on_after(pass, before.end_ns, prompt.pause, ends_ns).await {
                // Of a pass that is stopped, they were cut off.
                return if pass.stop.reason().is_some() { 0 } else { end - index };
            }
            // Its own timer's lateness is no wait of the request.
            due_ns = due_ns.map(|_| if prompt.pause.is_zero() { before.end_ns } else { now_ns() });
            if let (Some(live), Some(answer)) = (&mut live, before.answer) {
                live.answered(answer);
            }
        }
        let sent = match &mut live {
            Some(live) => Cow::Owned(live.next(prompt)),
            None => Cow::Borrowed(prompt),
        };
        if live.is_none() && pass.prompts.is_live() {
            live = Some(Live::begun(prompt));
        }
        before = Some(send(index, &sent, due_ns).await);
    }
    0
}

/// Waits for the end of a pause; gives whether the pass is still on then.
async fn is_still_on_after(pass: &Pass, end_ns: u64, pause: Duration, ends_ns: Option<u64>) -> bool {
    let until_ns = end_ns.saturating_add(pause.as_nanos() as u64).min(ends_ns.unwrap_or(u64::MAX));
    let left_ns = until_ns.saturating_sub(now_ns());
    if left_ns > 0 {
        tokio::time::sleep(Duration::from_nanos(left_ns)).await;
    }
    pass.stop.reason().is_none() && ends_ns.is_none_or(|ends_ns| now_ns() < ends_ns)
}

/// A conversation whose history has the server's own answers. The tokens of a turn's prompt are its own there, without those before it.
struct Live {
    messages: Vec<Message>,
    tokens: u32,
}

impl Live {
    /// After its first prompt.
    fn begun(prompt: &Prompt) -> Self {
        let mut live = Self { messages: prompt.before.to_vec(), tokens: prompt.prompt_tokens };
        live.said("user", prompt.text.clone());
        live
    }

    fn said(&mut self, role: &str, content: String) {
        self.messages.push(Message { role: role.to_owned(), content });
    }

    fn answered(&mut self, (text, tokens): (String, u32)) {
        self.said("assistant", text);
        self.tokens += tokens;
    }

    /// The next prompt, with all that was said before it.
    fn next(&mut self, prompt: &Prompt) -> Prompt {
        let before = self.messages.clone().into();
        let shared_tokens = self.tokens;
        self.tokens += prompt.prompt_tokens;
        self.said("user", prompt.text.clone());
        Prompt { before, prompt_tokens: self.tokens, shared_tokens, ..prompt.clone() }
    }
}
