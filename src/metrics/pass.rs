use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    ClientUse, Conversations, Distribution, GpuMetrics, Histogram, Histograms, HostUse, ServerMetrics, ServerUse,
    Shard, Steady, conversations::ideal_cached_share,
};
use crate::{
    client::{ConnectionStats, Gap, Record, TokenSource},
    dataset::Tokenizer,
};

/// The numbers of one pass: `passes[]` of report.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PassMetrics {
    /// The seed that drew its prompts.
    pub seed: u64,
    /// Digest of its prompts and of the sampling parameters; empty in older files.
    #[serde(default)]
    pub digest: String,
    /// The process of the server that it went to, numbered from 1 in the order of their starts in this run, where the run starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<usize>,
    /// When it started, by the wall clock, RFC 3339.
    pub started_at: String,
    /// First send to last terminal event, in seconds; prefill included, and failed requests too.
    pub duration_s: f64,
    /// Requests that ended as they should.
    pub completed: usize,
    /// All others.
    pub failed: usize,
    /// The others, by class.
    pub failures: BTreeMap<String, usize>,
    /// One message for each class.
    pub failure_examples: BTreeMap<String, String>,
    /// Requests that were sent again after a failure, whatever became of them; their times count from the first send.
    #[serde(default)]
    pub retried: usize,
    /// Completed requests whose server reported fewer output tokens than events with tokens came.
    #[serde(default)]
    pub contradicted: usize,
    /// Completed requests that the server's content filter ended: answers, but not those that were asked for.
    #[serde(default)]
    pub content_filtered: usize,
    /// Requests within the limits of `goodput`, where there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<usize>,
    /// Prompt tokens of completed requests: the server's count where it gave one, else the client's.
    pub prompt_tokens: u64,
    /// Output tokens of completed requests.
    pub output_tokens: u64,
    /// Output tokens that were asked for by the requests that completed.
    pub requested_tokens: u64,
    /// Output tokens of each completed request.
    #[serde(default)]
    pub output_length: Option<Distribution>,
    /// Who counted the output tokens; `null` where nothing completed.
    pub token_source: Option<TokenSource>,
    /// Prompt tokens that the server took from its cache, where it says so.
    pub cached_tokens: Option<u64>,
    /// Share of the prompt tokens of completed requests that a cache without limits would hold: what earlier prompts of the pass began with, by
    /// the client's count. `null` where the dataset tells of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ideal_cached_share: Option<f64>,
    /// Completed requests per second.
    pub rps: f64,
    /// Completed requests per minute.
    pub rpm: f64,
    /// Output tokens of completed requests per second.
    pub output_tokens_per_s: f64,
    /// Prompt and output tokens of completed requests per second.
    pub total_tokens_per_s: f64,
    /// Time to first token; from the intended send in an open loop.
    pub ttft_s: Option<Distribution>,
    /// Time to the first token that is not reasoning; from the same moment.
    pub ttfo_s: Option<Distribution>,
    /// Time per output token after the first.
    pub tpot_s: Option<Distribution>,
    /// Gap between token events that came in different reads.
    pub itl_s: Option<Distribution>,
    /// Share of all gaps between token events that [`itl_s`](Self::itl_s) describes: of the rest, which came in one read with the
    /// event before, nobody knows the time. `null` where there are no gaps.
    #[serde(default)]
    pub itl_real_share: Option<f64>,
    /// End-to-end latency; from the same moment.
    pub e2e_s: Option<Distribution>,
    /// Time to first token from the actual send, in an open loop, whose other latencies count from the intended send.
    #[serde(default)]
    pub ttft_sent_s: Option<Distribution>,
    /// The same for the first token that is not reasoning.
    #[serde(default)]
    pub ttfo_sent_s: Option<Distribution>,
    /// End-to-end latency from the actual send, in an open loop.
    #[serde(default)]
    pub e2e_sent_s: Option<Distribution>,
    /// How late requests were sent, in an open loop; of all that were sent.
    pub send_lag_s: Option<Distribution>,
    /// Requests sent per second, from the first to the last send, in an open loop; of conversations, their first turns.
    #[serde(default)]
    pub achieved_rate: Option<f64>,
    /// The same numbers for the part of the pass in which all clients were busy.
    #[serde(default)]
    pub steady: Option<Steady>,
    /// Token events, of completed requests.
    pub token_events: u64,
    /// Share of token events that came in one read with an earlier one.
    pub coalesced_share: f64,
    /// Its conversations, where any has more than one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversations: Option<Conversations>,
    /// How its latencies are distributed, for pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Histograms>,
    /// What the connections cost.
    pub connections: Connections,
    /// What the client itself used.
    pub client: ClientUse,
    /// What its machine did meanwhile; `null` in older files.
    #[serde(default)]
    pub host: Option<HostUse>,
    /// What the server's processes used, where the run starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
    /// What the server counted itself, where it has a page of metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
    /// What was asked for by name: the mean of a gauge, a counter's rate per second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scraped: BTreeMap<String, f64>,
    /// What its GPUs did, where they have a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuMetrics>,
    /// What each of several shards did; empty where the run was one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Shard>,
}

/// What the connections of a pass cost, outside all latencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Connections opened.
    pub opened: u32,
    /// Of those, in the middle of the pass.
    pub reopened: u32,
    /// Requests sent again because their connection proved closed before any byte of an answer.
    pub resent: u32,
    /// Time to open one, on average.
    pub connect_mean_s: f64,
    /// Answers after which the server left the body open, so that the connection was given up.
    #[serde(default)]
    pub left_open: usize,
    /// How long the clients waited for the end of bodies whose answers were whole, all together.
    #[serde(default)]
    pub end_wait_s: f64,
}

const NS: f64 = 1e-9;

impl PassMetrics {
    /// Of the records of one pass, whose output tokens have been counted.
    pub fn of(
        seed: u64,
        started_at: String,
        records: &[Record],
        connections: ConnectionStats,
        client: ClientUse,
    ) -> Self {
        let completed: Vec<&Record> = records.iter().filter(|record| record.is_completed()).collect();
        let mut failures = BTreeMap::new();
        let mut failure_examples = BTreeMap::new();
        for failure in records.iter().filter_map(|record| record.outcome.as_ref().err()) {
            let class = failure.class.to_string();
            *failures.entry(class.clone()).or_default() += 1;
            failure_examples.entry(class).or_insert_with(|| failure.message.clone());
        }
        let started_ns = records.iter().filter_map(|record| record.sent_ns).min();
        let ended_ns = records.iter().filter(|record| record.sent_ns.is_some()).map(|record| record.end_ns).max();
        let duration_s = started_ns.zip(ended_ns).map_or(0.0, |(start, end)| end.saturating_sub(start) as f64 * NS);

        let prompt_tokens: u64 = completed.iter().map(|record| u64::from(record.input_tokens())).sum();
        let output_tokens: u64 = completed.iter().filter_map(|record| record.output).map(|(n, _)| u64::from(n)).sum();
        let cached = completed.iter().filter_map(|record| record.usage?.cached_tokens).map(u64::from);
        let token_events: u64 = completed.iter().map(|record| u64::from(record.token_events)).sum();
        let coalesced: u64 = completed.iter().map(|record| u64::from(record.coalesced_events)).sum();
        let latency =
            |of: fn(&Record) -> Option<f64>| Distribution::of(completed.iter().filter_map(|r| of(r)).collect());

        let is_open = records.iter().any(|record| record.intended_ns.is_some());
        let sent = |of: fn(&Record) -> Option<f64>| if is_open { latency(of) } else { None };
        let all_gaps = completed.iter().map(|record| record.gaps.len()).sum::<usize>();
        let real_gaps = completed.iter().flat_map(|record| &record.gaps).filter(|gap| !gap.is_merged());
        let real_gaps: Vec<Gap> = real_gaps.copied().collect();
        let histogram = |of: fn(&Record) -> Option<f64>| Histogram::of(completed.iter().filter_map(|r| of(r)));
        let histograms = Histograms {
            ttft_s: histogram(Record::ttft_s),
            tpot_s: histogram(Record::tpot_s),
            itl_s: Histogram::of(real_gaps.iter().map(|gap| gap.seconds())),
            e2e_s: histogram(Record::e2e_s),
        };
        let mut pass = Self {
            seed,
            digest: String::new(),
            instance: None,
            started_at,
            duration_s: 0.0,
            completed: completed.len(),
            failed: records.len() - completed.len(),
            failures,
            failure_examples,
            retried: records.iter().filter(|record| record.retries > 0).count(),
            contradicted: completed.iter().filter(|record| is_contradicted(record)).count(),
            content_filtered: completed.iter().filter(|r| r.finish_reason.as_deref() == Some("content_filter")).count(),
            good: None,
            prompt_tokens,
            output_tokens,
            requested_tokens: completed.iter().map(|record| u64::from(record.requested_tokens)).sum(),
            output_length: Distribution::of(completed.iter().filter_map(|r| r.output).map(|(n, _)| n.into()).collect()),
            token_source: token_source(&completed),
            cached_tokens: cached.reduce(|a, b| a + b),
            ideal_cached_share: ideal_cached_share(&completed),
            rps: 0.0,
            rpm: 0.0,
            output_tokens_per_s: 0.0,
            total_tokens_per_s: 0.0,
            ttft_s: latency(Record::ttft_s),
            ttfo_s: latency(Record::ttfo_s),
            tpot_s: latency(Record::tpot_s),
            itl_real_share: (all_gaps > 0).then(|| real_gaps.len() as f64 / all_gaps as f64),
            itl_s: Distribution::of_gaps(real_gaps),
            e2e_s: latency(Record::e2e_s),
            ttft_sent_s: sent(Record::ttft_sent_s),
            ttfo_sent_s: sent(Record::ttfo_sent_s),
            e2e_sent_s: sent(Record::e2e_sent_s),
            send_lag_s: Distribution::of(records.iter().filter_map(Record::send_lag_s).collect()),
            achieved_rate: achieved_rate(records),
            steady: None,
            token_events,
            coalesced_share: if token_events == 0 { 0.0 } else { coalesced as f64 / token_events as f64 },
            conversations: None,
            histograms: Some(histograms),
            connections: Connections {
                opened: connections.opened,
                reopened: connections.reopened,
                resent: connections.resent,
                connect_mean_s: connections.connect_ns as f64 * NS / f64::from(connections.opened.max(1)),
                left_open: records.iter().filter(|record| record.left_open).count(),
                end_wait_s: records.iter().map(|record| record.end_wait_ns as f64 * NS).sum(),
            },
            client,
            host: None,
            server: None,
            server_metrics: None,
            scraped: BTreeMap::new(),
            gpu: None,
            shards: Vec::new(),
        };
        pass.set_duration(duration_s);
        pass
    }

    /// Sets the time that the counts of completed requests and their tokens are divided by.
    pub(crate) fn set_duration(&mut self, duration_s: f64) {
        let per_s = |count: f64| if duration_s > 0.0 { count / duration_s } else { 0.0 };
        self.duration_s = duration_s;
        self.rps = per_s(self.completed as f64);
        self.rpm = self.rps * 60.0;
        self.output_tokens_per_s = per_s(self.output_tokens as f64);
        self.total_tokens_per_s = per_s((self.prompt_tokens + self.output_tokens) as f64);
    }

    /// Share of the prompt tokens that came from the server's cache, where it says so.
    pub fn cached_share(&self) -> Option<f64> {
        Some(self.cached_tokens? as f64 / (self.prompt_tokens.max(1)) as f64)
    }

    /// Share of the time of its threads that the client was busy; near 1, it is itself the limit. `None` where the system does
    /// not tell CPU times.
    pub fn client_cpu_share(&self) -> Option<f64> {
        let available_s = self.duration_s * self.client.threads as f64;
        self.client.cpu_s.filter(|_| available_s > 0.0).map(|used_s| used_s / available_s)
    }

    /// CPU time of the server for each output token of completed requests, in seconds; `None` where either is not known.
    pub fn cpu_s_per_output_token(&self) -> Option<f64> {
        let server = self.server.filter(|_| self.output_tokens > 0)?;
        Some(server.cpu_s / self.output_tokens as f64)
    }

    /// Joules of the GPUs for each output token; `None` where nobody has measured them.
    pub fn joules_per_output_token(&self) -> Option<f64> {
        let joules = self.gpu.as_ref()?.energy_j.filter(|_| self.output_tokens > 0)?;
        Some(joules / self.output_tokens as f64)
    }

    /// Requests per second within the limits of `goodput`; `None` where there are none.
    pub fn goodput_rps(&self) -> Option<f64> {
        let good = self.good? as f64;
        Some(if self.duration_s > 0.0 { good / self.duration_s } else { 0.0 })
    }

    /// Share of all requests, failed ones included, that are within the limits of `goodput`; `None` where there are none.
    pub fn good_share(&self) -> Option<f64> {
        Some(self.good? as f64 / (self.completed + self.failed).max(1) as f64)
    }

    /// Share of the requests that failed.
    pub fn failed_share(&self) -> f64 {
        self.failed as f64 / (self.completed + self.failed).max(1) as f64
    }
}

/// Sends per second of an open loop; `None` where there was no schedule, or all were to be sent at once.
fn achieved_rate(records: &[Record]) -> Option<f64> {
    let open = records.iter().filter(|record| record.intended_ns.is_some() && record.turn == 0);
    let sent: Vec<u64> = open.filter_map(|record| record.sent_ns).collect();
    let (first, last) = (sent.iter().min()?, sent.iter().max()?);
    (last > first).then(|| (sent.len() - 1) as f64 / ((last - first) as f64 * NS))
}

/// Each event with a token has one at least.
fn is_contradicted(record: &Record) -> bool {
    let reported = record.usage.and_then(|usage| usage.completion_tokens);
    reported.is_some_and(|tokens| tokens < record.token_events)
}

fn token_source(completed: &[&Record]) -> Option<TokenSource> {
    let mut sources = completed.iter().filter_map(|record| record.output).map(|(_, source)| source);
    let first = sources.next()?;
    Some(if sources.all(|source| source == first) { first } else { TokenSource::Mixed })
}

/// Settles how many tokens each completed request gave: what the server reported, or else what the tokenizer counts over the
/// whole text. To be called after the pass, since it takes CPU time.
///
/// # Errors
/// What the tokenizer said.
pub fn count_output_tokens(records: &mut [Record], tokenizer: &Tokenizer) -> Result<(), String> {
    records.par_iter_mut().filter(|record| record.is_completed()).try_for_each(|record| {
        record.output = match record.usage.and_then(|usage| usage.completion_tokens) {
            Some(tokens) => Some((tokens, TokenSource::Usage)),
            // An API that gives no tokens has no text either.
            None => match record.text.take() {
                Some(text) => Some((tokenizer.count(&text, false)? as u32, TokenSource::Client)),
                None => None,
            },
        };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Failure, FailureClass, Usage},
        metrics::{ClientUse, GpuMetrics, Late, ServerUse},
    };

    fn record(index: usize, sent_ms: u64, first_ms: u64, last_ms: u64, end_ms: u64, tokens: u32) -> Record {
        let ns = |ms: u64| ms * 1_000_000;
        let mut record = Record::new(index, 10, tokens);
        record.sent_ns = Some(ns(sent_ms));
        record.first_token_ns = Some(ns(first_ms));
        record.first_answer_ns = Some(ns(first_ms));
        record.last_token_ns = Some(ns(last_ms));
        record.end_ns = ns(end_ms);
        record.token_events = tokens;
        record.output = Some((tokens, TokenSource::Usage));
        record
    }

    fn of(records: &[Record]) -> PassMetrics {
        let client = ClientUse { threads: 1, ..ClientUse::default() };
        PassMetrics::of(0, String::new(), records, ConnectionStats::default(), client)
    }

    #[test]
    fn what_a_token_takes_and_how_many_are_good() {
        let mut pass = of(&[record(0, 1000, 1100, 1500, 3000, 6)]);
        assert_eq!(
            (pass.client_cpu_share(), pass.cpu_s_per_output_token(), pass.joules_per_output_token()),
            (None, None, None)
        );
        assert_eq!((pass.goodput_rps(), pass.good_share()), (None, None));
        // 1 s of CPU in 2 s of 4 threads; 3 s and 12 J for 6 tokens.
        (pass.client.cpu_s, pass.client.threads) = (Some(1.0), 4);
        pass.server = Some(ServerUse { cpu_s: 3.0, ..ServerUse::default() });
        pass.gpu = Some(GpuMetrics { energy_j: Some(12.0), ..GpuMetrics::default() });
        pass.good = Some(3);
        assert_eq!(pass.client_cpu_share(), Some(0.125));
        assert_eq!((pass.cpu_s_per_output_token(), pass.joules_per_output_token()), (Some(0.5), Some(2.0)));
        assert_eq!(pass.goodput_rps(), Some(1.5));
        (pass.completed, pass.failed) = (8, 4);
        assert_eq!((pass.good_share(), pass.failed_share()), (Some(0.25), 1.0 / 3.0));
        (pass.output_tokens, pass.duration_s) = (0, 0.0);
        assert_eq!(
            (pass.client_cpu_share(), pass.cpu_s_per_output_token(), pass.joules_per_output_token()),
            (None, None, None)
        );
        assert_eq!(pass.goodput_rps(), Some(0.0));
    }

    #[test]
    fn the_definitions() {
        let mut first = record(0, 1000, 1100, 1500, 1510, 5);
        first.gaps = vec![Gap::from_ns(100_000_000); 4];
        first.usage = Some(Usage { prompt_tokens: Some(17), cached_tokens: Some(12), ..Usage::default() });
        let second = record(1, 1200, 1500, 1500, 1600, 1);
        let mut third = record(2, 1300, 1400, 1900, 3000, 50);
        third.outcome = Err(Failure::new(FailureClass::Http(503), "loading"));
        let pass = of(&[first, second, third]);

        // First send 1.0 s, last end 3.0 s: the failed request counts for the time, and for nothing else.
        assert_eq!((pass.duration_s, pass.completed, pass.failed), (2.0, 2, 1));
        assert_eq!((pass.rps, pass.rpm), (1.0, 60.0));
        assert_eq!((pass.prompt_tokens, pass.output_tokens, pass.cached_tokens), (27, 6, Some(12)));
        assert_eq!((pass.output_tokens_per_s, pass.total_tokens_per_s), (3.0, 16.5));
        assert_eq!(pass.failures, BTreeMap::from([("http_503".to_owned(), 1)]));
        let near = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
        let ttft = pass.ttft_s.unwrap();
        near(ttft.min, 0.1);
        near(ttft.max, 0.3);
        // TPOT exists from two tokens on: 0.4 s over 4 further tokens.
        let tpot = pass.tpot_s.unwrap();
        assert_eq!(tpot.count, 1);
        near(tpot.mean, 0.1);
        near(pass.itl_s.unwrap().p99, 0.1);
        near(pass.e2e_s.unwrap().mean, (0.51 + 0.4) / 2.0);
    }

    /// Events that come four a write: three of four gaps are none.
    #[test]
    fn merged_events_have_no_gap_between_them() {
        let mut burst = record(0, 0, 100, 160, 170, 16);
        burst.gaps = (1..16).map(|i| Gap::from_ns(if i % 4 == 0 { 20_000_000 } else { 0 })).collect();
        let pass = of(&[burst.clone()]);
        let itl = pass.itl_s.unwrap();
        assert_eq!((itl.count, itl.min, itl.p50, pass.itl_real_share), (3, 0.02, 0.02, Some(0.2)));
        // All in one read: no gap, no time per token, and no share of nothing.
        burst.gaps.fill(Gap::from_ns(0));
        burst.last_token_ns = burst.first_token_ns;
        let pass = of(&[burst]);
        assert_eq!((pass.itl_s, pass.tpot_s, pass.itl_real_share), (None, None, Some(0.0)));
        assert_eq!(of(&[record(0, 0, 1, 1, 2, 1)]).itl_real_share, None);
    }

    #[test]
    fn an_open_loop_counts_from_the_intended_send() {
        let mut late = record(0, 3000, 3100, 3500, 3600, 5);
        late.intended_ns = Some(1_000_000_000);
        let mut unsent = record(1, 0, 0, 0, 4000, 1);
        (unsent.intended_ns, unsent.sent_ns) = (Some(1_000_000_000), None);
        unsent.outcome = Err(Failure::new(FailureClass::Connect, ""));
        let pass = of(&[late, unsent]);
        let means = |of: [Option<Distribution>; 6]| of.map(|latency| (latency.unwrap().mean * 1e3).round());
        let found = [pass.ttft_s, pass.ttfo_s, pass.e2e_s, pass.ttft_sent_s, pass.ttfo_sent_s, pass.e2e_sent_s];
        assert_eq!(means(found), [2100.0, 2100.0, 2600.0, 100.0, 100.0, 600.0]);
        assert_eq!((pass.send_lag_s.unwrap().max, (pass.duration_s * 1e3).round()), (2.0, 600.0));
        let closed = of(&[record(0, 3000, 3100, 3500, 3600, 5)]);
        assert_eq!((closed.ttft_sent_s, closed.e2e_sent_s), (None, None));
    }

    #[test]
    fn what_is_counted() {
        let mut retried = record(0, 0, 10, 50, 60, 4);
        (retried.retries, retried.token_events, retried.coalesced_events) = (2, 4, 1);
        let mut filtered = record(1, 10, 20, 60, 70, 6);
        filtered.finish_reason = Some("content_filter".to_owned());
        filtered.usage = Some(Usage { completion_tokens: Some(5), cached_tokens: Some(3), ..Usage::default() });
        let mut plain = record(2, 20, 30, 70, 80, 6);
        plain.finish_reason = Some("stop".to_owned());
        plain.usage = Some(Usage { completion_tokens: Some(6), cached_tokens: Some(4), ..Usage::default() });
        plain.output = Some((6, TokenSource::Client));
        (plain.left_open, plain.end_wait_ns) = (true, 2_000_000_000);
        let connections = ConnectionStats { opened: 4, reopened: 3, connect_ns: 8_000_000_000, resent: 2 };
        let records = [retried, filtered, plain];
        let client = ClientUse { threads: 1, ..ClientUse::default() };
        let pass = PassMetrics::of(7, "now".to_owned(), &records, connections, client);
        assert_eq!((pass.seed, &*pass.started_at, pass.retried), (7, "now", 1));
        // Six events came where the server counted five.
        assert_eq!((pass.contradicted, pass.content_filtered, pass.cached_tokens), (1, 1, Some(7)));
        assert_eq!((pass.requested_tokens, pass.token_events, pass.coalesced_share), (16, 16, 1.0 / 16.0));
        assert_eq!((pass.output_length.unwrap().mean * 3.0, pass.token_source), (16.0, Some(TokenSource::Mixed)));
        let found = pass.connections;
        assert_eq!((found.opened, found.reopened, found.resent, found.connect_mean_s), (4, 3, 2, 2.0));
        assert_eq!((found.left_open, found.end_wait_s), (1, 2.0));
        assert_eq!((pass.cached_share(), pass.failed_share(), pass.achieved_rate), (Some(7.0 / 30.0), 0.0, None));
        let server_alone = |reported: u32, events: u32| {
            let mut record = record(0, 0, 10, 50, 60, events);
            record.usage = Some(Usage { completion_tokens: Some(reported), ..Usage::default() });
            of(&[record]).contradicted
        };
        assert_eq!((server_alone(5, 6), server_alone(6, 6), server_alone(7, 6)), (1, 0, 0));
        let by_one = of(&[records[0].clone(), records[1].clone()]);
        assert_eq!(by_one.token_source, Some(TokenSource::Usage));
        let nothing = of(&[]);
        assert_eq!((nothing.rps, nothing.total_tokens_per_s), (0.0, 0.0));
        assert_eq!((nothing.coalesced_share, nothing.failed_share(), nothing.cached_share()), (0.0, 0.0, None));
        assert_eq!(nothing.connections.connect_mean_s, 0.0);
        let mut failed = record(3, 0, 1, 1, 1000, 1);
        failed.outcome = Err(Failure::new(FailureClass::Reset, ""));
        assert_eq!(of(&[failed, records[0].clone()]).failed_share(), 0.5);
    }

    #[test]
    fn output_tokens_are_the_servers_count_or_else_the_tokenizers() {
        let mut by_server = record(0, 0, 10, 50, 60, 4);
        (by_server.output, by_server.text) = (None, Some("the server".to_owned()));
        by_server.usage = Some(Usage { completion_tokens: Some(9), ..Usage::default() });
        let mut by_client = by_server.clone();
        by_client.usage = Some(Usage { prompt_tokens: Some(3), ..Usage::default() });
        let mut failed = by_client.clone();
        failed.outcome = Err(Failure::new(FailureClass::Reset, ""));
        let mut records = [by_server, by_client, failed];
        count_output_tokens(&mut records, &crate::fixtures::tokenizer().unwrap()).unwrap();
        let counted = records.map(|record| record.output);
        assert_eq!(counted, [Some((9, TokenSource::Usage)), Some((2, TokenSource::Client)), None]);
    }

    #[test]
    fn sends_per_second_of_an_open_loop() {
        let sent = |ms: u64, intended: bool| {
            let mut record = record(0, ms, ms + 1, ms + 1, ms + 1, 1);
            record.intended_ns = intended.then_some(0);
            record
        };
        assert_eq!(achieved_rate(&[sent(3000, true), sent(3500, true), sent(4000, true)]), Some(2.0));
        assert_eq!(achieved_rate(&[sent(0, true), sent(500, true), sent(9000, false)]), Some(2.0));
        assert_eq!(achieved_rate(&[sent(0, true), sent(0, true)]), None);
        assert_eq!(achieved_rate(&[]), None);
    }

    #[test]
    fn lateness_is_told_by_its_quantiles() {
        assert_eq!(Late::of(|q| Some(q * 2.0)), Some(Late { p50: 1.0, p99: 1.98 }));
        assert_eq!(Late::of(|q| (q < 0.9).then_some(q)), None);
    }

    #[test]
    fn nothing_completed_is_no_throughput_and_no_latency() {
        let mut only = record(0, 0, 1, 1, 1000, 1);
        only.outcome = Err(Failure::new(FailureClass::Reset, ""));
        let pass = of(&[only]);
        assert_eq!((pass.rpm, pass.output_tokens_per_s, pass.ttft_s, pass.token_source), (0.0, 0.0, None, None));
        let mut unsent = Record::new(0, 1, 1);
        unsent.outcome = Err(Failure::new(FailureClass::Connect, ""));
        assert_eq!(of(&[unsent]).duration_s, 0.0);
    }
}
