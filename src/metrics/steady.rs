//! The part of a pass in which the load was what was asked for.

use serde::{Deserialize, Serialize};

use super::Distribution;
use crate::client::Record;

/// The numbers of the steady state: ramp and drain left out, and one window for tokens, time and latencies alike.
///
/// In a closed loop of C clients the window reaches from the Cth send, when all clients are busy, to the last send, after which
/// clients run out of prompts. In an open loop it reaches from the end of the first request to the last send.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Start of the window, in seconds from the first send.
    pub started_s: f64,
    /// Its length.
    pub duration_s: f64,
    /// Its share of the pass's duration.
    pub share: f64,
    /// Completed requests that ended in it.
    pub completed: usize,
    /// Completed requests that ended outside of it.
    pub outside: usize,
    /// Completed requests that ended in it, per minute.
    pub rpm: f64,
    /// Output tokens that arrived in it, per second. The tokens of a request are spread evenly over its token events; without
    /// streaming they arrive at its end.
    pub output_tokens_per_s: f64,
    /// Time to first token from the actual send, of first tokens that arrived in it.
    pub ttft_s: Option<Distribution>,
    /// Gap between token events that came in different reads, of those that arrived in it.
    pub itl_s: Option<Distribution>,
    /// End-to-end latency from the actual send, of the requests that ended in it.
    pub e2e_s: Distribution,
    /// Requests in flight, on average over the window.
    pub in_flight: f64,
    /// Requests that pile up: by how many more there were in flight in the second half of the window, up to the last one that was due, than in its
    /// first, on average, as a share of those that came in half of it. 0 where the server keeps up; in an open loop that asks for 5 % more than it can do, 0.05. An open
    /// loop's requests count from the intended send. `null` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<f64>,
    /// Little's law: completions per second × mean latency, over requests in flight. 1 where the window is long enough for
    /// what enters it to be what leaves it.
    pub littles_law: f64,
}

const NS: f64 = 1e-9;
/// A window with fewer ends is none.
const LEAST_COMPLETED: usize = 10;

impl Steady {
    /// Of a pass's records, in a closed loop of that many clients or in an open loop. `None` where no window is long enough:
    /// it must hold ten completed requests, and last as long as a request does on average.
    pub fn of(records: &[Record], concurrency: Option<usize>) -> Option<Self> {
        let completed: Vec<&Record> = records.iter().filter(|record| record.is_completed()).collect();
        let mut sends: Vec<u64> = records.iter().filter_map(|record| record.sent_ns).collect();
        sends.sort_unstable();
        let (first_ns, last_ns) = (*sends.first()?, *sends.last()?);
        let start_ns = match concurrency {
            Some(clients) => *sends.get(clients.checked_sub(1)?)?,
            None => completed.iter().map(|record| record.end_ns).min()?,
        };
        let within = |at_ns: u64| start_ns < at_ns && at_ns <= last_ns;
        let duration_s = last_ns.checked_sub(start_ns)? as f64 * NS;
        let ended = || completed.iter().filter(|record| within(record.end_ns));
        let e2e_s = Distribution::of(ended().filter_map(|record| record.e2e_sent_s()).collect())?;
        if e2e_s.count < LEAST_COMPLETED || duration_s < e2e_s.mean {
            return None;
        }
        let mut tokens = 0.0;
        let mut gaps = Vec::new();
        for record in &completed {
            let output = record.output.map_or(0.0, |(tokens, _)| f64::from(tokens));
            let Some(mut at_ns) = record.first_token_ns else {
                tokens += if within(record.end_ns) { output } else { 0.0 };
                continue;
            };
            let per_event = output / f64::from(record.token_events.max(1));
            tokens += if within(at_ns) { per_event } else { 0.0 };
            for gap in &record.gaps {
                at_ns += (gap.seconds() * 1e9) as u64;
                if within(at_ns) {
                    tokens += per_event;
                    gaps.extend(Some(*gap).filter(|gap| !gap.is_merged()));
                }
            }
        }
        let first_tokens = completed.iter().filter(|record| record.first_token_ns.is_some_and(within));
        let overlap = |record: &Record| {
            let sent_ns = record.sent_ns?.max(start_ns);
            Some(record.end_ns.min(last_ns).saturating_sub(sent_ns) as f64 * NS)
        };
        let in_flight = records.iter().filter_map(overlap).sum::<f64>() / duration_s;
        let pass_ns = records.iter().map(|record| record.end_ns).max()?.saturating_sub(first_ns);
        Some(Self {
            started_s: (start_ns - first_ns) as f64 * NS,
            duration_s,
            share: duration_s / (pass_ns as f64 * NS),
            completed: e2e_s.count,
            outside: completed.len() - e2e_s.count,
            rpm: e2e_s.count as f64 / duration_s * 60.0,
            output_tokens_per_s: tokens / duration_s,
            ttft_s: Distribution::of(first_tokens.filter_map(|record| record.ttft_sent_s()).collect()),
            itl_s: Distribution::of_gaps(gaps),
            e2e_s,
            in_flight,
            growth: growth(records, start_ns),
            littles_law: e2e_s.count as f64 / duration_s * e2e_s.mean / in_flight,
        })
    }
}

/// See [`Steady::growth`].
fn growth(records: &[Record], start_ns: u64) -> Option<f64> {
    let since_ns = |record: &Record| record.sent_ns.map(|sent_ns| record.intended_ns.unwrap_or(sent_ns));
    // What is held back is sent when no more come.
    let end_ns = records.iter().filter_map(since_ns).max()?;
    let middle_ns = start_ns.midpoint(end_ns);
    // Nanoseconds in flight within a half, of all requests.
    let in_flight = |from_ns: u64, to_ns: u64| {
        let overlap = |record: &Record| {
            let since_ns = since_ns(record)?;
            Some(record.end_ns.min(to_ns).saturating_sub(since_ns.max(from_ns)) as f64)
        };
        records.iter().filter_map(overlap).sum::<f64>() / (to_ns - from_ns) as f64
    };
    let came = records.iter().filter_map(since_ns).filter(|at_ns| start_ns < *at_ns).count();
    // Where there is time between them, the last of them has come in it.
    (start_ns < middle_ns)
        .then(|| (in_flight(middle_ns, end_ns) - in_flight(start_ns, middle_ns)) / (came as f64 / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Gap, TokenSource};

    /// Two clients, each request a second long with a token after half of it and one at its end.
    fn closed_loop(requests: usize) -> Vec<Record> {
        closed_loop_of(2, requests)
    }

    fn closed_loop_of(clients: usize, requests: usize) -> Vec<Record> {
        let ns = |s: f64| (s * 1e9) as u64;
        let record = |i: usize| {
            let mut record = Record::new(i, 1, 2);
            let sent = 10.0 + (i / clients) as f64;
            record.sent_ns = Some(ns(sent));
            record.first_token_ns = Some(ns(sent + 0.5));
            record.last_token_ns = Some(ns(sent + 1.0));
            record.end_ns = ns(sent + 1.0);
            record.gaps = vec![Gap::from_ns(ns(0.5))];
            record.token_events = 2;
            record.output = Some((2, TokenSource::Usage));
            record
        };
        (0..requests).map(record).collect()
    }

    #[test]
    fn the_window_is_where_all_clients_are_busy() {
        // 40 requests take 20 s; the last two are sent at 19 s, and drain.
        let steady = Steady::of(&closed_loop(40), Some(2)).unwrap();
        assert_eq!((steady.started_s, steady.duration_s, steady.share), (0.0, 19.0, 0.95));
        assert_eq!((steady.completed, steady.outside), (38, 2));
        assert_eq!((steady.rpm, steady.output_tokens_per_s), (120.0, 4.0));
        assert_eq!((steady.in_flight, steady.littles_law), (2.0, 1.0));
        assert_eq!((steady.e2e_s.mean, steady.ttft_s.unwrap().count), (1.0, 38));
        assert_eq!(steady.itl_s.unwrap().count, 38);
    }

    /// A request each second, of 1.75 s: its first token after a quarter of a second, and the other at its end.
    #[test]
    fn tokens_count_where_they_arrived() {
        let ns = |s: f64| (s * 1e9) as u64;
        let mut records = closed_loop_of(1, 20);
        for record in &mut records {
            let sent = record.sent_ns.unwrap();
            (record.first_token_ns, record.gaps) = (Some(sent + ns(0.25)), vec![Gap::from_ns(ns(1.5))]);
            (record.last_token_ns, record.end_ns) = (Some(sent + ns(1.75)), sent + ns(1.75));
        }
        // From the first end, 11.75 s, to the last send, 29 s: first tokens of requests 2 to 18, second ones and ends of 1 to 17.
        let steady = Steady::of(&records, None).unwrap();
        assert_eq!((steady.started_s, steady.duration_s, steady.completed, steady.outside), (1.75, 17.25, 17, 3));
        assert!((steady.output_tokens_per_s - 34.0 / 17.25).abs() < 1e-9, "{steady:?}");
        // In flight in it: request 1 for its last second, 2 to 17 from end to end, 18 for its first second.
        let in_flight = (2.0 + 16.0 * 1.75) / 17.25;
        assert!((steady.in_flight - in_flight).abs() < 1e-9, "{steady:?}");
        assert!((steady.littles_law - 17.0 / 17.25 * 1.75 / in_flight).abs() < 1e-9, "{steady:?}");
        // First tokens after 0.9 s, of 1 to 18, and the others after 1.1 s, of 1 to 17, in what is left from 11.1 s on.
        let mut close = records.clone();
        for record in &mut close {
            let sent = record.sent_ns.unwrap();
            (record.first_token_ns, record.gaps) = (Some(sent + ns(0.9)), vec![Gap::from_ns(ns(0.2))]);
            (record.last_token_ns, record.end_ns) = (Some(sent + ns(1.1)), sent + ns(1.1));
        }
        let steady = Steady::of(&close, None).unwrap();
        assert!((steady.output_tokens_per_s - 35.0 / 17.9).abs() < 1e-9, "{steady:?}");
        // Without a stream they all arrive at the end.
        for record in &mut records {
            (record.first_token_ns, record.last_token_ns, record.gaps) = (None, None, Vec::new());
        }
        let whole = Steady::of(&records, None).unwrap();
        assert!((whole.output_tokens_per_s - 34.0 / 17.25).abs() < 1e-9, "{whole:?}");
    }

    #[test]
    fn what_grew_is_what_was_in_flight_in_the_second_half() {
        let record = |(since_ns, end_ns): (u64, u64)| {
            let mut record = Record::new(0, 1, 1);
            (record.sent_ns, record.end_ns) = (Some(since_ns), end_ns);
            record
        };
        let records = [(0, 5), (10, 15), (20, 30), (30, 40), (40, 50)].map(record);
        // Half a request in the first 20 ns, one in the next; and four have come in both.
        assert_eq!(growth(&records, 0), Some(0.25));
        // In no time nothing grows.
        assert_eq!([38, 39, 40, 41].map(|start_ns| growth(&records, start_ns).is_some()), [true, false, false, false]);
        assert_eq!(growth(&[], 0), None);
    }

    /// Requests every 10 ms, of a server that takes each in 10 ms, or in 5 % more.
    #[test]
    fn what_a_server_can_not_do_piles_up() {
        let growth = |takes_s: f64, n: usize| {
            let ns = |s: f64| (s * 1e9) as u64;
            let mut free_s: f64 = 0.0;
            let record = |i: usize| {
                let mut record = Record::new(i, 1, 1);
                let due_s = 1.0 + i as f64 / 100.0;
                free_s = free_s.max(due_s) + takes_s;
                // Held back, and still to be counted from when it was due.
                (record.intended_ns, record.sent_ns) = (Some(ns(due_s)), Some(ns(free_s - takes_s)));
                record.end_ns = ns(free_s);
                record.output = Some((1, TokenSource::Usage));
                record
            };
            let records: Vec<Record> = (0..n).map(record).collect();
            Steady::of(&records, None).unwrap().growth.unwrap()
        };
        assert!(growth(0.009, 500).abs() < 0.005, "{}", growth(0.009, 500));
        assert!((growth(0.010_5, 500) - 0.05 / 1.05).abs() < 0.005, "{}", growth(0.010_5, 500));
        assert!((growth(0.02, 500) - 0.5).abs() < 0.02, "{}", growth(0.02, 500));
        assert_eq!(Steady::of(&closed_loop(40), Some(2)).unwrap().growth, Some(0.0));
    }

    #[test]
    fn short_passes_have_none() {
        assert_eq!(Steady::of(&closed_loop(10), Some(2)), None, "eight ends in the window");
        assert_eq!(Steady::of(&closed_loop(40), Some(40)), None, "the last send is the fortieth");
        assert_eq!(Steady::of(&closed_loop(40), Some(41)), None);
        assert_eq!(Steady::of(&[], Some(1)), None);
        // As long as a request, and ten ends in it: just enough of both.
        assert_eq!(Steady::of(&closed_loop_of(10, 20), Some(10)).unwrap().completed, 10);
        assert_eq!(Steady::of(&closed_loop_of(9, 18), Some(9)), None);
        // As an open loop: from the first end on.
        assert_eq!(Steady::of(&closed_loop(40), None).unwrap().started_s, 1.0);
    }
}
