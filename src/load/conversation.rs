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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::Sequence,
        load::{StopReason, samples::pass},
    };

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    /// Three conversations, of one, one and three turns, with 10 tokens a turn, after a system's message.
    fn three() -> Sequence {
        let turn = |(place, turn): (usize, u32)| {
            let system = Message { role: "system".to_owned(), content: format!("s{place}") };
            Prompt { turn, prompt_tokens: 10, before: vec![system].into(), ..Prompt::new(format!("t{place}"), 1) }
        };
        [0, 0, 0, 1, 2].into_iter().enumerate().map(turn).collect()
    }

    /// Sends the third conversation, of which this turn fails. Gives the positions and what was due when, and how many were not sent.
    fn sent(
        pass: &Pass,
        fails: Option<usize>,
        due_ns: Option<u64>,
        ends_ns: Option<u64>,
    ) -> (Vec<(usize, Option<u64>)>, usize) {
        let mut sent = Vec::new();
        let not_sent = run(converse(pass, 2, due_ns, ends_ns, async |index, prompt, due_ns| {
            assert_eq!(prompt.text, format!("t{index}"));
            sent.push((index, due_ns));
            Ended { is_completed: fails != Some(index), end_ns: index as u64, answer: None }
        }));
        (sent, not_sent)
    }

    #[test]
    fn turns_follow_one_another_until_one_fails() {
        let mut pass = pass(three());
        let closed = |pass: &Pass, fails, ends_ns| {
            let (sent, not_sent) = sent(pass, fails, None, ends_ns);
            (sent.into_iter().map(|(index, _)| index).collect::<Vec<_>>(), not_sent)
        };
        assert_eq!(closed(&pass, None, None), (vec![2, 3, 4], 0));
        assert_eq!(closed(&pass, Some(2), None), (vec![2], 2));
        assert_eq!(closed(&pass, Some(3), None), (vec![2, 3], 1));
        assert_eq!(closed(&pass, Some(4), None), (vec![2, 3, 4], 0));
        // After the end of the pass nothing is sent, nor of one that is stopped: what is missing there was cut off.
        assert_eq!(closed(&pass, None, Some(now_ns() + 3_600_000_000_000)), (vec![2, 3, 4], 0));
        assert_eq!(closed(&pass, None, Some(now_ns())), (vec![2], 2));
        pass.stop.stop(StopReason::Error);
        assert_eq!((closed(&pass, None, None), closed(&pass, Some(2), None)), ((vec![2], 0), (vec![2], 0)));
        pass.stop = crate::load::Stop::default();
        // In an open loop each is due when the one before it has ended.
        let (open, _) = sent(&pass, None, Some(77), None);
        assert_eq!(open, [(2, Some(77)), (3, Some(2)), (4, Some(3))]);
    }

    #[test]
    fn a_pause_is_waited_for_and_no_longer_than_the_pass() {
        let mut pass = pass(three());
        let pause = Duration::from_millis(20);
        let begun_ns = now_ns();
        assert!(run(is_still_on_after(&pass, begun_ns, pause, None)));
        let waited_ns = now_ns() - begun_ns;
        assert!(waited_ns >= 20_000_000, "{waited_ns}");
        // An hour's pause, of a pass that is over before.
        let ends_ns = Some(now_ns() + 1_000_000);
        assert!(!run(is_still_on_after(&pass, now_ns(), Duration::from_secs(3600), ends_ns)));
        // The time from which such a turn is late is now, in an open loop.
        pass.prompts = pass.prompts.iter().map(|prompt| Prompt { pause, ..prompt.clone() }).collect();
        let begun_ns = now_ns();
        let (sent, _) = sent(&pass, None, Some(77), None);
        assert!(sent[0].1 == Some(77) && sent[1..].iter().all(|(_, due_ns)| *due_ns >= Some(begun_ns)), "{sent:?}");
    }

    #[test]
    fn the_servers_own_answers_stand_in_the_history() {
        let pass = pass(three().live());
        let mut sent = Vec::new();
        let not_sent = run(converse(&pass, 2, None, None, async |index, prompt, _| {
            let history: Vec<String> = prompt.before.iter().map(|m| format!("{}:{}", m.role, m.content)).collect();
            sent.push((prompt.text.clone(), history.join(" "), prompt.prompt_tokens, prompt.shared_tokens));
            Ended { is_completed: true, end_ns: 0, answer: Some((format!("a{index}"), 3)) }
        }));
        assert_eq!(not_sent, 0);
        let expected = [
            ("t2", "system:s2", 10, 0),
            ("t3", "system:s2 user:t2 assistant:a2", 23, 13),
            ("t4", "system:s2 user:t2 assistant:a2 user:t3 assistant:a3", 36, 26),
        ];
        assert_eq!(
            sent,
            expected.map(|(text, history, all, shared)| (text.to_owned(), history.to_owned(), all, shared))
        );
    }
}
