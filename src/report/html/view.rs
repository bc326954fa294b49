//! What is kept of a pass's requests for pictures, once the requests themselves are gone.

use serde::{Deserialize, Serialize};

use crate::{client::Record, metrics::GaugeReading};

/// A pass over time, and some of its requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct View {
    /// Length of a bin, in seconds.
    pub bin_s: f64,
    /// Requests in flight in each bin, on average.
    pub in_flight: Vec<f64>,
    /// Output tokens that came in it, per second.
    pub tokens_per_s: Vec<f64>,
    /// Requests that failed in it.
    pub failed: Vec<u32>,
    /// What the server's own gauges stood at, with seconds since the first send.
    #[serde(default)]
    pub gauges: Vec<(f64, GaugeReading)>,
    pub strips: Vec<Strip>,
}

/// The life of one request, in seconds from when it was to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Strip {
    /// Why it is shown.
    pub name: String,
    pub index: usize,
    /// When it went out, when its first and its last token came, and when it ended.
    pub sent_s: f64,
    pub first_s: Option<f64>,
    pub last_s: Option<f64>,
    pub end_s: f64,
    pub tokens: Option<u32>,
    pub failure: Option<String>,
}

const BINS: usize = 120;

impl View {
    /// `None` where nothing was sent.
    pub fn of(records: &[Record], gauges: &[GaugeReading]) -> Option<Self> {
        let start_ns = records.iter().filter_map(|record| record.sent_ns).min()?;
        let end_ns = records.iter().map(|record| record.end_ns).max()?;
        let all_ns = end_ns.saturating_sub(start_ns).max(1) as f64;
        let (bin_ns, bin_s) = (all_ns / BINS as f64, all_ns * 1e-9 / BINS as f64);
        let bin = |ns: f64| ((ns / bin_ns) as usize).min(BINS - 1);
        let mut view = Self {
            bin_s,
            in_flight: vec![0.0; BINS],
            tokens_per_s: vec![0.0; BINS],
            failed: vec![0; BINS],
            gauges: gauges.iter().map(|reading| (seconds(start_ns, reading.at_ns), *reading)).collect(),
            strips: strips(records),
        };
        for record in records {
            let Some(sent_ns) = record.sent_ns else { continue };
            let since = |ns: u64| ns.saturating_sub(start_ns) as f64;
            let (from, to) = (since(sent_ns), since(record.end_ns));
            for (i, in_flight) in view.in_flight.iter_mut().enumerate().take(bin(to) + 1).skip(bin(from)) {
                let (begins, ends) = (i as f64 * bin_ns, (i + 1) as f64 * bin_ns);
                *in_flight += (to.min(ends) - from.max(begins)).max(0.0) / bin_ns;
            }
            if !record.is_completed() {
                view.failed[bin(to)] += 1;
                continue;
            }
            let tokens = f64::from(record.output.map_or(record.token_events, |(tokens, _)| tokens));
            match record.first_token_ns {
                // Spread evenly over the events.
                Some(first_ns) if record.token_events > 0 => {
                    let each = tokens / f64::from(record.token_events) / bin_s;
                    let mut at = since(first_ns);
                    view.tokens_per_s[bin(at)] += each;
                    for gap in &record.gaps {
                        at += gap.seconds() * 1e9;
                        view.tokens_per_s[bin(at)] += each;
                    }
                }
                _ => view.tokens_per_s[bin(to)] += tokens / bin_s,
            }
        }
        Some(view)
    }
}

/// From one moment to another; a reading may be a little before the first send.
fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 * 1e-9
}

/// The median request by its end, the slowest, and the first that failed.
fn strips(records: &[Record]) -> Vec<Strip> {
    let mut completed: Vec<&Record> = records.iter().filter(|record| record.is_completed()).collect();
    completed.sort_by(|a, b| a.e2e_s().unwrap_or_default().total_cmp(&b.e2e_s().unwrap_or_default()));
    let failed = records.iter().find(|record| !record.is_completed() && record.sent_ns.is_some());
    let shown = [
        ("the median request", completed.get(completed.len() / 2).copied()),
        ("the slowest", completed.last().copied()),
        ("one that failed", failed),
    ];
    let strip = |(name, record): (&'static str, Option<&Record>)| {
        let record = record?;
        let sent_ns = record.sent_ns?;
        let from_ns = record.intended_ns.unwrap_or(sent_ns);
        let since = |ns: u64| ns.saturating_sub(from_ns) as f64 * 1e-9;
        Some(Strip {
            name: name.to_owned(),
            index: record.index,
            sent_s: since(sent_ns),
            first_s: record.first_token_ns.map(since),
            last_s: record.last_token_ns.map(since),
            end_s: since(record.end_ns),
            tokens: record.output.map(|(tokens, _)| tokens),
            failure: record.outcome.as_ref().err().map(|failure| format!("{}: {}", failure.class, failure.message)),
        })
    };
    shown.into_iter().filter_map(strip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Failure, FailureClass, Gap, TokenSource};

    fn record(index: usize, sent_ms: u64, end_ms: u64) -> Record {
        let mut record = Record::new(index, 1, 3);
        let ns = |ms: u64| ms * 1_000_000;
        (record.sent_ns, record.first_token_ns, record.last_token_ns) =
            (Some(ns(sent_ms)), Some(ns(end_ms - 2)), Some(ns(end_ms)));
        (record.end_ns, record.token_events, record.output) = (ns(end_ms), 3, Some((3, TokenSource::Usage)));
        record.gaps = vec![Gap::from_ns(ns(1)); 2];
        record
    }

    #[test]
    fn a_pass_over_time() {
        let mut bad = record(2, 1030, 1060);
        bad.outcome = Err(Failure::new(FailureClass::Reset, "gone"));
        let gauges = [GaugeReading { at_ns: 1_050_000_000, waiting: Some(3.0), ..GaugeReading::default() }];
        let view = View::of(&[record(0, 1000, 1120), record(1, 1000, 1060), bad], &gauges).unwrap();
        assert_eq!(view.gauges, [(0.05, gauges[0])]);
        assert!((view.bin_s - 0.001).abs() < 1e-12);
        // 120 + 60 + 30 ms in flight, and the tokens of those that were completed.
        assert!((view.in_flight.iter().sum::<f64>() - 210.0).abs() < 1e-6, "{:?}", view.in_flight);
        assert!((view.tokens_per_s.iter().sum::<f64>() * view.bin_s - 6.0).abs() < 1e-6);
        assert_eq!((view.failed.iter().sum::<u32>(), view.failed[60]), (1, 1));
        let strips: Vec<(&str, usize, bool)> =
            view.strips.iter().map(|s| (s.name.as_str(), s.index, s.failure.is_some())).collect();
        assert_eq!(strips, [("the median request", 0, false), ("the slowest", 0, false), ("one that failed", 2, true)]);
        assert!((view.strips[0].end_s - 0.12).abs() < 1e-9 && view.strips[0].sent_s == 0.0);
        assert_eq!(View::of(&[], &[]), None);
    }
}
