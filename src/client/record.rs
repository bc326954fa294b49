//! What is kept of one request.

use super::{answer::Usage, failure::Failure};

/// One prompt's request, from send to end. All times are nanoseconds of the monotonic clock.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Position of the prompt in the workload, from 0.
    pub index: usize,
    /// Its place in its conversation, from 0.
    pub turn: u32,
    /// How long it had to wait after the end of the turn before it, in nanoseconds.
    pub pause_ns: u64,
    /// Completed, or why not.
    pub outcome: Result<(), Failure>,
    /// When the schedule wanted it sent; `None` in a closed loop.
    pub intended_ns: Option<u64>,
    /// When the request was handed to an open connection; `None` where there was none.
    pub sent_ns: Option<u64>,
    /// When the read returned that completed the response's head.
    pub headers_ns: Option<u64>,
    /// When the first token event was read.
    pub first_token_ns: Option<u64>,
    /// When the first token event was read that is not reasoning.
    pub first_answer_ns: Option<u64>,
    /// When the last token event was read.
    pub last_token_ns: Option<u64>,
    /// When the terminal event was read, or the failure was known.
    pub end_ns: u64,
    /// How long the client waited for the end of the body after the answer was whole, in nanoseconds; outside all latencies.
    pub end_wait_ns: u64,
    /// The server left the body open after that: the connection was given up.
    pub left_open: bool,
    /// Gaps between consecutive token events.
    pub gaps: Vec<Gap>,
    /// Token events.
    pub token_events: u32,
    /// Token events that came in one read with an earlier one, and share its time.
    pub coalesced_events: u32,
    /// How often it was sent again after a failure; its times count from the first send.
    pub retries: u32,
    /// The last finish reason.
    pub finish_reason: Option<String>,
    /// Tokens as the server reports them.
    pub usage: Option<Usage>,
    /// The text, kept only where the server reported no output tokens and they must be counted.
    pub text: Option<String>,
    /// Tokens of the prompt by the client's tokenizer.
    pub prompt_tokens: u32,
    /// Those of them that an earlier prompt began with, as far as the dataset tells.
    pub shared_tokens: u32,
    /// Tokens that were asked for.
    pub requested_tokens: u32,
    /// Tokens that came, and who counted them; set after the pass.
    pub output: Option<(u32, TokenSource)>,
}

/// Who counted the output tokens. Counts from different sources are never compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// `usage.completion_tokens` of the server.
    Usage,
    /// The client's tokenizer over the whole text.
    Client,
    /// Some requests of a pass by one, some by the other.
    Mixed,
}

/// A gap between token events, in units of 0.1 µs: four bytes that reach to 429 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Gap(u32);

impl Gap {
    /// From nanoseconds, rounded; what exceeds 429 s stays there.
    pub fn from_ns(ns: u64) -> Self {
        Self(u32::try_from((ns + 50) / 100).unwrap_or(u32::MAX))
    }

    /// Whether both events came in one read, so that the time between them is not known.
    pub fn is_merged(self) -> bool {
        self.0 == 0
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        f64::from(self.0) * 1e-7
    }
}

impl Record {
    /// A record of a request that has not been sent.
    pub fn new(index: usize, prompt_tokens: u32, requested_tokens: u32) -> Self {
        Self {
            index,
            turn: 0,
            pause_ns: 0,
            outcome: Ok(()),
            intended_ns: None,
            sent_ns: None,
            headers_ns: None,
            first_token_ns: None,
            first_answer_ns: None,
            last_token_ns: None,
            end_ns: 0,
            end_wait_ns: 0,
            left_open: false,
            gaps: Vec::new(),
            token_events: 0,
            coalesced_events: 0,
            retries: 0,
            finish_reason: None,
            usage: None,
            text: None,
            prompt_tokens,
            shared_tokens: 0,
            requested_tokens,
            output: None,
        }
    }

    /// The same by another clock, which shows so many nanoseconds more: no latency changes.
    pub fn shift(&mut self, by_ns: i64) {
        let moments = [
            &mut self.intended_ns,
            &mut self.sent_ns,
            &mut self.headers_ns,
            &mut self.first_token_ns,
            &mut self.first_answer_ns,
            &mut self.last_token_ns,
        ];
        for moment in moments.into_iter().flatten().chain([&mut self.end_ns]) {
            *moment = moment.saturating_add_signed(by_ns);
        }
    }

    /// Tokens of its prompt: the server's count where it gave one, else the client's.
    pub fn input_tokens(&self) -> u32 {
        self.usage.and_then(|usage| usage.prompt_tokens).unwrap_or(self.prompt_tokens)
    }

    /// Whether it counts as completed.
    pub fn is_completed(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Time to first token, in seconds: from the intended send in an open loop, else from the send.
    pub fn ttft_s(&self) -> Option<f64> {
        self.since_intended_s(self.first_token_ns?)
    }

    /// Time to the first token that is not reasoning, in seconds; from the same moment.
    pub fn ttfo_s(&self) -> Option<f64> {
        self.since_intended_s(self.first_answer_ns?)
    }

    /// Time per output token after the first, in seconds: absent below two output tokens, and where all of them came in one
    /// read, whose time says nothing of it.
    pub fn tpot_s(&self) -> Option<f64> {
        let (tokens, _) = self.output.filter(|(tokens, _)| *tokens >= 2)?;
        let span = self.last_token_ns?.checked_sub(self.first_token_ns?).filter(|span| *span > 0)?;
        Some(span as f64 * 1e-9 / f64::from(tokens - 1))
    }

    /// End-to-end latency, in seconds: from the intended send in an open loop, else from the send.
    pub fn e2e_s(&self) -> Option<f64> {
        self.since_intended_s(self.end_ns)
    }

    /// How late it was sent, in seconds: only where it had an intended time.
    pub fn send_lag_s(&self) -> Option<f64> {
        Some(since_s(self.intended_ns?, self.sent_ns?))
    }

    /// Time to first token from the actual send, in seconds.
    pub fn ttft_sent_s(&self) -> Option<f64> {
        Some(since_s(self.sent_ns?, self.first_token_ns?))
    }

    /// Time to the first token that is not reasoning from the actual send, in seconds.
    pub fn ttfo_sent_s(&self) -> Option<f64> {
        Some(since_s(self.sent_ns?, self.first_answer_ns?))
    }

    /// End-to-end latency from the actual send, in seconds.
    pub fn e2e_sent_s(&self) -> Option<f64> {
        Some(since_s(self.sent_ns?, self.end_ns))
    }

    /// What was never sent has no latency, whenever it was meant to be.
    fn since_intended_s(&self, at_ns: u64) -> Option<f64> {
        let sent_ns = self.sent_ns?;
        Some(since_s(self.intended_ns.unwrap_or(sent_ns), at_ns))
    }
}

/// Arrivals are kept behind the send when they are stamped: a time that was taken is never missing.
fn since_s(start_ns: u64, end_ns: u64) -> f64 {
    end_ns.saturating_sub(start_ns) as f64 * 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_another_clock_no_latency_changes() {
        let mut record = Record::new(0, 1, 3);
        let [intended, sent, headers, first, answer, last] =
            [10, 11, 12, 13, 14, 15].map(|s: u64| Some(s * 1_000_000_000));
        (record.intended_ns, record.sent_ns, record.headers_ns) = (intended, sent, headers);
        (record.first_token_ns, record.first_answer_ns, record.last_token_ns) = (first, answer, last);
        (record.end_ns, record.output) = (16_000_000_000, Some((3, TokenSource::Usage)));
        let mut moved = record.clone();
        moved.shift(-3_000_000_000);
        let latencies = |r: &Record| [r.ttft_s(), r.ttfo_s(), r.tpot_s(), r.e2e_s(), r.send_lag_s(), r.ttft_sent_s()];
        assert_eq!(latencies(&moved), latencies(&record));
        assert_eq!(
            (moved.intended_ns, moved.headers_ns, moved.end_ns),
            (Some(7_000_000_000), Some(9_000_000_000), 13_000_000_000)
        );
        moved.shift(3_000_000_000);
        assert_eq!(moved, record);
        // What did not happen still has not.
        let mut unsent = Record::new(1, 1, 1);
        unsent.shift(5);
        assert_eq!((unsent.sent_ns, unsent.end_ns), (None, 5));
    }
}
