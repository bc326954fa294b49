//! What a pass is, and what it gives.

use std::{ops::Range, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{FailureLimit, Lasts, Observer, Schedule, Share, Start, Stop, StopReason};
use crate::{
    client::{Client, ConnectionStats, Delays, PerThread, ReadLateness, Record, RequestWriter, Sampling, Target},
    dataset::{Prompt, Sequence},
    metrics::{ClientUse, Late},
};

/// One pass to run; shared by all of its clients, and cheap to clone.
#[derive(Clone)]
pub struct Pass {
    /// The server.
    pub target: Arc<Target>,
    /// Writes the requests.
    pub writer: Arc<RequestWriter>,
    /// What is asked beside the prompts.
    pub sampling: Arc<Sampling>,
    /// In sending order, those of other shares among them.
    pub prompts: Sequence,
    /// Which of them are sent.
    pub share: Share,
    /// Says when it begins.
    pub start: Arc<dyn Start>,
    /// When they are sent.
    pub schedule: Schedule,
    /// In place of each prompt once: for how long they are sent, again and again. An open loop has its end in its schedule, and takes the
    /// order of repeated prompts from this.
    pub lasts: Option<Lasts>,
    /// On how many threads the clients run.
    pub threads: usize,
    /// What the request ids begin with; the position in the workload follows.
    pub request_id_prefix: Arc<str>,
    /// How often a request that failed is sent again, where that may help.
    pub retries: u32,
    /// More failed requests than this end the pass.
    pub failures: FailureLimit,
    /// Ends the pass early.
    pub stop: Stop,
    /// Hears of requests that have ended.
    pub observer: Arc<dyn Observer>,
}

/// What a pass gave.
pub struct PassRecords {
    /// One for each request of its share, in sending order; where the pass was stopped, for each that was begun. Turns of a conversation after
    /// one that failed have none.
    pub records: Vec<Record>,
    /// Why it ended early, if so.
    pub stopped: Option<StopReason>,
    /// What all connections together cost.
    pub connections: ConnectionStats,
    /// What the client's threads used between the first send and the last end.
    pub client: ClientCost,
}

/// What the client's threads used in a pass, and how late they ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientCost {
    /// CPU time, in nanoseconds, where the system tells it.
    pub cpu_ns: Option<u64>,
    /// The number of threads.
    pub threads: usize,
    /// How much later than the kernel their reads took what had come.
    pub reads: ReadLateness,
    /// How late their timers ran.
    pub timers: Delays,
}

impl ClientCost {
    /// Adds what the threads of another client used.
    pub fn add(&mut self, other: &Self) {
        self.cpu_ns = self.cpu_ns.zip(other.cpu_ns).map(|(a, b)| a + b);
        self.threads += other.threads;
        self.reads.add(&other.reads);
        self.timers.add(&other.timers);
    }

    /// In the numbers of a report.
    pub fn used(&self) -> ClientUse {
        ClientUse {
            cpu_s: self.cpu_ns.map(|ns| ns as f64 * 1e-9),
            threads: self.threads,
            stamps: Some(self.reads.source()),
            read_late_s: Late::of(|quantile| self.reads.quantile_s(quantile)),
            timer_late_s: Late::of(|quantile| self.timers.quantile_s(quantile)),
            share: None,
        }
    }
}

/// Before a request is sent again for the first time; then twice as long each time, up to 64 times.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Pass {
    /// How many conversations all shares begin together, where a prompt alone is one; `None` for a closed loop that goes on for a time.
    pub(super) fn conversations(&self) -> Option<usize> {
        match (&self.schedule, &self.lasts) {
            (Schedule::Open { arrivals_ns, .. }, _) => Some(arrivals_ns.len()),
            (Schedule::Closed { .. }, None) => Some(self.prompts.conversations()),
            (Schedule::Closed { .. }, Some(_)) => None,
        }
    }

    /// The positions of the turns of a conversation, by its number in the order in which they begin.
    pub(super) fn turns(&self, number: usize) -> Range<usize> {
        if !self.prompts.has_turns() {
            return number..number + 1;
        }
        let of_all = self.prompts.conversations();
        let turns = self.prompts.turns(self.lasts.as_ref().map_or(number, |lasts| lasts.prompt(number)));
        let before = number / of_all * self.prompts.len();
        before + turns.start..before + turns.end
    }

    /// The prompt at a position.
    pub(super) fn prompt(&self, position: usize) -> &Prompt {
        match &self.lasts {
            Some(lasts) if !self.prompts.has_turns() => &self.prompts[lasts.prompt(position)],
            Some(_) => &self.prompts[position % self.prompts.len()],
            None => &self.prompts[position],
        }
    }

    /// Sends a prompt, again where that may help and is allowed, and counts its end. Time runs from the first send.
    pub(super) async fn complete(
        &self,
        client: &mut Client,
        index: usize,
        prompt: &Prompt,
        request_id: &str,
    ) -> Record {
        let requested = self.sampling.requested_tokens(prompt);
        let mut record = client.complete(index, prompt, requested, request_id).await;
        while record.retries < self.retries && record.outcome.as_ref().is_err_and(|failure| failure.class.may_pass()) {
            tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << record.retries.min(6))).await;
            let (sent_ns, retries) = (record.sent_ns, record.retries + 1);
            record = client.complete(index, prompt, requested, request_id).await;
            record.sent_ns = sent_ns.or(record.sent_ns);
            record.retries = retries;
        }
        (record.turn, record.shared_tokens) = (prompt.turn, prompt.shared_tokens);
        record.pause_ns = if prompt.turn > 0 { prompt.pause.as_nanos() as u64 } else { 0 };
        self.observer.ended(&record);
        if self.failures.note(&record) {
            self.stop.stop(StopReason::Failures);
        }
        record
    }

    /// A client that has not connected yet.
    pub(super) fn new_client(&self, number: usize, thread: &PerThread) -> Client {
        Client::new(self.target.clone(), self.writer.clone(), number, thread.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::samples::pass;

    /// Conversations of so many turns each, whose texts are their places.
    fn conversations(turns: &[u32]) -> Sequence {
        let turns = turns.iter().flat_map(|turns| 0..*turns);
        turns.enumerate().map(|(place, turn)| Prompt { turn, ..Prompt::new(place.to_string(), 1) }).collect()
    }

    fn timed(prompts: Sequence, conversations: usize) -> Pass {
        Pass { lasts: Some(Lasts::new(Duration::from_secs(1), conversations, 7)), ..pass(prompts) }
    }

    #[test]
    fn how_many_conversations_begin() {
        let closed = pass(conversations(&[2, 1, 3]));
        assert_eq!(closed.conversations(), Some(3));
        assert_eq!(timed(conversations(&[2, 1, 3]), 3).conversations(), None);
        let schedule = Schedule::Open { arrivals_ns: [0, 1, 2, 3].into(), connections: 1, max_in_flight: None };
        // Of those that repeat, the schedule has the number.
        assert_eq!(Pass { schedule, ..timed(conversations(&[2, 1, 3]), 3) }.conversations(), Some(4));
    }

    #[test]
    fn turns_have_places_of_their_own_in_each_round() {
        let whole = |pass: &Pass, number: usize| {
            let turns = pass.turns(number);
            let texts: Vec<&str> = turns.clone().map(|position| &*pass.prompt(position).text).collect();
            (turns, texts.join(" "))
        };
        let once = pass(conversations(&[2, 1, 3]));
        assert_eq!([0, 1, 2].map(|number| whole(&once, number).0), [0..2, 2..3, 3..6]);
        assert_eq!([0, 1, 2].map(|number| whole(&once, number).1), ["0 1", "2", "3 4 5"]);
        // The second and the third round have the same conversations in another order.
        let again = timed(conversations(&[2, 1, 3]), 3);
        for round in 0..3 {
            let mut rounds: Vec<_> = (0..3).map(|number| whole(&again, 3 * round + number)).collect();
            rounds.sort_by_key(|(turns, _)| turns.start);
            let expected = [(0..2, "0 1"), (2..3, "2"), (3..6, "3 4 5")];
            let expected =
                expected.map(|(turns, texts)| (turns.start + 6 * round..turns.end + 6 * round, texts.to_owned()));
            assert_eq!(rounds, expected, "round {round}");
        }
        // A prompt alone has the position in which it is sent.
        let (alone, once) = (timed(conversations(&[1; 5]), 5), pass(conversations(&[1; 5])));
        assert_eq!((alone.turns(12), once.turns(3)), (12..13, 3..4));
        let lasts = alone.lasts.as_ref().unwrap();
        for position in 0..20 {
            assert_eq!(alone.prompt(position).text, lasts.prompt(position).to_string());
        }
        assert_eq!(once.prompt(3).text, "3");
    }

    #[test]
    fn what_clients_used_adds_up() {
        let cost = |cpu_ns, threads| ClientCost { cpu_ns, threads, ..ClientCost::default() };
        let mut all = cost(Some(2_000_000_000), 3);
        all.add(&cost(Some(500_000_000), 4));
        let used = all.used();
        assert_eq!((used.cpu_s, used.threads), (Some(2.5), 7));
        // Of what one does not tell there is no sum.
        all.add(&cost(None, 1));
        assert_eq!((all.cpu_ns, all.threads), (None, 8));
    }
}
