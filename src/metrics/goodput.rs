//! Which requests are good: those within limits of their own, as in `ttft < 300 ms, tpot < 50 ms`.

use std::{fmt, str::FromStr};

use super::limit::Limit;
use crate::client::Record;

/// Limits that a request keeps to be good, all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Goodput {
    limits: Vec<(&'static Latency, Limit)>,
}

/// A latency that one request has.
#[derive(Debug)]
struct Latency {
    name: &'static str,
    of: fn(&Record) -> Option<f64>,
    /// Whether only streams have it.
    of_streams: bool,
}

/// By identity: each is a line of the table.
impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

static LATENCIES: &[Latency] = &[
    Latency { name: "ttft", of: Record::ttft_s, of_streams: true },
    Latency { name: "ttfo", of: Record::ttfo_s, of_streams: true },
    Latency { name: "tpot", of: Record::tpot_s, of_streams: true },
    Latency { name: "e2e", of: Record::e2e_s, of_streams: false },
];

impl Goodput {
    /// Whether a request is good. One that failed is not, whatever its times. A time that an answer does not have, such as the time per
    /// output token of one with a single token, keeps no limit and breaks none; an answer that has none of them is not good.
    pub fn is_good(&self, record: &Record) -> bool {
        let times = || self.limits.iter().filter_map(|(latency, limit)| Some(((latency.of)(record)?, limit.value())));
        record.is_completed() && times().next().is_some() && times().all(|(time_s, limit_s)| time_s < limit_s)
    }

    /// How many of these requests are good.
    pub fn count(&self, records: &[Record]) -> usize {
        records.iter().filter(|record| self.is_good(record)).count()
    }

    /// A limit that only streams have a time for, if there is such.
    pub fn of_streams(&self) -> Option<&'static str> {
        self.limits.iter().find(|(latency, _)| latency.of_streams).map(|(latency, _)| latency.name)
    }
}

impl FromStr for Goodput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits: Vec<(&'static Latency, Limit)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, limit) = part
                .split_once('<')
                .ok_or_else(|| format!("`{part}` is no limit: write them as in ttft < 300 ms, tpot < 50 ms"))?;
            let name = name.trim();
            let latency = LATENCIES.iter().find(|latency| latency.name == name).ok_or_else(|| {
                let names: Vec<&str> = LATENCIES.iter().map(|latency| latency.name).collect();
                format!("`{part}`: a request has no `{name}`, but {}", names.join(", "))
            })?;
            if limits.iter().any(|(other, _)| *other == latency) {
                return Err(format!("{name} has two limits"));
            }
            let limit = limit.strip_prefix('=').unwrap_or(limit);
            limits.push((latency, Limit::parse(limit, "s").map_err(|why| format!("`{part}`: {why}"))?));
        }
        Ok(Self { limits })
    }
}

impl fmt::Display for Goodput {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let limits: Vec<String> =
            self.limits.iter().map(|(latency, limit)| format!("{} < {limit}", latency.name)).collect();
        f.pad(&limits.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Failure, FailureClass, TokenSource};

    /// Times in milliseconds.
    fn record(intended: Option<u64>, sent: u64, first: u64, last: u64, tokens: u32) -> Record {
        let mut record = Record::new(0, 1, tokens);
        let ns = |ms: u64| ms * 1_000_000;
        (record.intended_ns, record.sent_ns) = (intended.map(ns), Some(ns(sent)));
        (record.first_token_ns, record.last_token_ns, record.end_ns) = (Some(ns(first)), Some(ns(last)), ns(last));
        record.output = Some((tokens, TokenSource::Usage));
        record
    }

    #[test]
    fn a_request_is_good_within_all_its_limits() {
        let goodput: Goodput = "ttft < 300 ms, tpot<=50ms".parse().unwrap();
        assert_eq!(goodput.to_string(), "ttft < 300 ms, tpot < 50 ms");
        for (record, good) in [
            (record(None, 0, 200, 600, 11), true),
            (record(None, 0, 300, 600, 11), false),
            (record(None, 0, 200, 700, 11), false),
            // An answer of one token has no time per output token.
            (record(None, 0, 200, 200, 1), true),
            (record(None, 0, 400, 400, 1), false),
            // From the moment at which it was to be sent.
            (record(Some(0), 250, 450, 500, 11), false),
            (record(Some(0), 50, 250, 500, 11), true),
        ] {
            assert_eq!(goodput.is_good(&record), good, "{record:?}");
        }
        let mut failed = record(None, 0, 1, 2, 11);
        failed.outcome = Err(Failure::new(FailureClass::Cancelled, "stopped"));
        assert!(!goodput.is_good(&failed));
        let mut none = record(None, 0, 1, 2, 11);
        (none.first_token_ns, none.last_token_ns) = (None, None);
        assert!(!goodput.is_good(&none), "nothing of it was measured");
        let good = record(None, 0, 200, 600, 11);
        assert_eq!(goodput.count(&[good.clone(), failed, good, none]), 2);
    }

    #[test]
    fn limits_of_requests_are_read() {
        let of = |text: &str| text.parse::<Goodput>();
        assert_eq!(
            (of("e2e < 2 s").unwrap().of_streams(), of("e2e < 2 s, tpot < 1 ms").unwrap().of_streams()),
            (None, Some("tpot"))
        );
        for (text, expected) in [
            ("", "`` is no limit: write them as in ttft < 300 ms, tpot < 50 ms"),
            ("ttft > 300 ms", "`ttft > 300 ms` is no limit"),
            ("ttft_p99 < 300 ms", "a request has no `ttft_p99`, but ttft, ttfo, tpot, e2e"),
            ("ttft < 300", "`ttft < 300`: `300` has no unit"),
            ("ttft < 1 s, ttft < 2 s", "ttft has two limits"),
        ] {
            let why = of(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
