//! Open loop at recorded times.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    open::{CONNECTIONS, Open},
    shape::{Kind, Pacing, Schedule, Shape},
};
use crate::{
    dataset::{PythonRandom, Sequence},
    load::{Arrival, RequestRate},
};

/// Each prompt at the time at which it was recorded, whatever has become of the others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "recorded")]
pub(super) struct Recorded {
    /// The times are multiplied by it.
    time_scale: f64,
    /// Whether times on a coarse grid are spread between its points.
    spread: bool,
    /// A request that would be one more than this in flight waits.
    max_in_flight: Option<usize>,
}

pub(super) const KIND: Kind = Kind {
    name: "recorded",
    spelling: "recorded, or recorded-tFACTOR for a different --time-scale, for the times of a trace",
    parse: |text, pacing| {
        let scale = text.strip_prefix("recorded")?;
        if scale.is_empty() {
            return Some(Ok(Arc::new(Recorded::paced(pacing.time_scale, pacing))));
        }
        let Some(scale) = scale.strip_prefix("-t") else {
            return Some(Err(format!("`{text}` is no load: write recorded, or recorded-tFACTOR")));
        };
        let factor = scale.parse().ok().filter(|factor: &f64| *factor > 0.0 && factor.is_finite());
        let factor = factor.ok_or_else(|| format!("`{scale}` is no factor above 0"));
        Some(factor.map(|factor| -> Arc<dyn Shape> { Arc::new(Recorded::paced(factor, pacing)) }))
    },
    read: |value| Ok(Arc::new(Recorded::deserialize(value)?)),
};

/// Moments that lie closer together are no grid.
const LEAST_TICK_NS: u64 = 100_000_000;
/// What a recording's own clock may be off its grid by.
const JITTER_NS: u64 = 10_000_000;
/// Times that lie on a grid are shared: of so many requests, no more than this share of times differ.
const MOST_DISTINCT: f64 = 0.9;
/// No schedule is longer: 31 years, to which a start can be added.
const LONGEST_NS: f64 = 1e18;
/// A pass that prescribes more is told beforehand.
const LONG_S: f64 = 3600.0;

impl Recorded {
    pub fn paced(time_scale: f64, pacing: &Pacing) -> Self {
        Self { time_scale, spread: pacing.spread, max_in_flight: pacing.max_in_flight }
    }

    /// When each conversation begins, in nanoseconds from the first.
    fn arrivals_ns(&self, recorded_ns: &[u64], seed: u64) -> Vec<u64> {
        let mut times: Vec<f64> = recorded_ns.iter().map(|ns| *ns as f64).collect();
        if let Some(grid) = Grid::of(recorded_ns).filter(|_| self.spread) {
            let mut rng = PythonRandom::new(seed);
            let mut place = 0;
            for moment in recorded_ns.chunk_by(is_one_moment) {
                let times = &mut times[place..place + moment.len()];
                times.iter_mut().for_each(|time| *time = moment[0] as f64 + rng.random() * grid.tick_ns as f64);
                times.sort_by(f64::total_cmp);
                place += moment.len();
            }
        }
        let first = times.first().copied().unwrap_or_default();
        let scaled = |time: f64| ((time - first) * self.time_scale).clamp(0.0, LONGEST_NS).round() as u64;
        times.into_iter().map(scaled).collect()
    }
}

/// The times at which conversations were recorded; 0 where one was not.
fn recorded_ns(begun: usize, prompts: &Sequence) -> Vec<u64> {
    let of = |number: usize| prompts[prompts.turns(number % prompts.conversations()).start].arrival;
    (0..begun).map(|number| of(number).unwrap_or_default().as_nanos() as u64).collect()
}

/// Whether two times that follow one another are one moment to the recording's clock.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as `chunk_by` calls it")]
fn is_one_moment(a: &u64, b: &u64) -> bool {
    b - a < JITTER_NS
}

/// A grid on which recorded times lie.
#[derive(Debug, PartialEq)]
struct Grid {
    /// The least distance of two moments.
    tick_ns: u64,
    /// Those at which anything was recorded.
    moments: usize,
}

impl Grid {
    /// `None` where the times are as fine as traffic is.
    fn of(sorted_ns: &[u64]) -> Option<Self> {
        let distinct = sorted_ns.chunk_by(|a, b| a == b).count();
        let moments: Vec<u64> = sorted_ns.chunk_by(is_one_moment).map(|moment| moment[0]).collect();
        let tick_ns = moments.windows(2).map(|pair| pair[1] - pair[0]).min()?;
        let is_shared = distinct as f64 <= MOST_DISTINCT * sorted_ns.len() as f64;
        (tick_ns >= LEAST_TICK_NS && is_shared).then_some(Self { tick_ns, moments: moments.len() })
    }
}

/// The most of these times that lie within any second.
fn most_in_a_second(sorted_ns: &[u64]) -> usize {
    let mut from = 0;
    let within = |(to, ns): (usize, &u64)| {
        while ns - sorted_ns[from] >= 1_000_000_000 {
            from += 1;
        }
        to + 1 - from
    };
    sorted_ns.iter().enumerate().map(within).max().unwrap_or_default()
}

impl Shape for Recorded {
    fn name(&self) -> String {
        if self.time_scale == 1.0 { "recorded".to_owned() } else { format!("recorded-t{}", self.time_scale) }
    }

    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn schedule(&self, begun: usize, prompts: &Sequence, seed: u64) -> Schedule {
        let arrivals_ns = self.arrivals_ns(&recorded_ns(begun, prompts), seed);
        let connections = self.connections(begun).max(most_in_a_second(&arrivals_ns).min(CONNECTIONS.1));
        let connections = connections.min(self.max_in_flight.unwrap_or(usize::MAX));
        Schedule::Open { arrivals_ns: arrivals_ns.into(), connections, max_in_flight: self.max_in_flight }
    }

    fn connections(&self, prompts: usize) -> usize {
        CONNECTIONS.0.min(prompts).min(self.max_in_flight.unwrap_or(usize::MAX)).max(1)
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn remark(&self, prompts: &Sequence) -> Option<String> {
        let recorded_ns = recorded_ns(prompts.conversations(), prompts);
        let (requests, last_ns) = (recorded_ns.len(), recorded_ns.last().copied().unwrap_or_default());
        let grid = match (Grid::of(&recorded_ns), self.spread) {
            _ if requests > 1 && last_ns == 0 => {
                Some(format!("all {requests} requests have the same recorded time, so they are sent at once"))
            }
            (Some(Grid { tick_ns, moments }), false) => Some(format!(
                "the {requests} requests have only {moments} different recorded times, at least {} s apart, so they are sent in bursts; \
                 --spread spreads them out",
                tick_ns as f64 * 1e-9,
            )),
            (None, true) => Some("--spread has no effect: the recorded times do not lie on a coarse grid".to_owned()),
            _ => None,
        };
        let last_s = recorded_ns.last().map_or(0.0, |ns| *ns as f64 * 1e-9) * self.time_scale;
        let long = (last_s > LONG_S).then(|| {
            let hours = last_s / 3600.0;
            format!("the last prompt is sent after {hours:.1} hours; use --time-scale, --trace-window or --num-prompts to shorten that")
        });
        let remarks: Vec<String> = grid.into_iter().chain(long).collect();
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }

    /// Its prompts have no times.
    fn tiny(&self) -> Arc<dyn Shape> {
        let (arrival, max_in_flight) = (Arrival::Constant, self.max_in_flight);
        Arc::new(Open { request_rate: RequestRate(1000.0), arrival, burstiness: 1.0, max_in_flight })
    }

    fn max_in_flight(&self) -> Option<usize> {
        self.max_in_flight
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("open loop at recorded times")?;
        if self.time_scale != 1.0 {
            write!(f, " × {}", self.time_scale)?;
        }
        if self.spread {
            f.write_str(", spread between the points of their grid")?;
        }
        match self.max_in_flight {
            Some(most) => write!(f, ", at most {most} in flight"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dataset::Prompt;

    fn at(milliseconds: &[u64]) -> Sequence {
        let prompt = |ms: &u64| Prompt { arrival: Some(Duration::from_millis(*ms)), ..Prompt::new("a", 1) };
        milliseconds.iter().map(prompt).collect()
    }

    fn shape(time_scale: f64, spread: bool) -> Recorded {
        Recorded { time_scale, spread, max_in_flight: None }
    }

    fn arrivals_ms(shape: Recorded, recorded: &[u64], seed: u64) -> Vec<f64> {
        let prompts = at(recorded);
        let Schedule::Open { arrivals_ns, .. } = shape.schedule(prompts.conversations(), &prompts, seed) else {
            panic!()
        };
        arrivals_ns.iter().map(|ns| *ns as f64 * 1e-6).collect()
    }

    #[test]
    fn prompts_are_sent_at_their_times() {
        let recorded = [0, 3, 3, 1000];
        assert_eq!(arrivals_ms(shape(1.0, false), &recorded, 0), [0.0, 3.0, 3.0, 1000.0]);
        assert_eq!(arrivals_ms(shape(2.0, false), &recorded, 0), [0.0, 6.0, 6.0, 2000.0]);
        assert_eq!(arrivals_ms(shape(0.5, false), &recorded, 0), [0.0, 1.5, 1.5, 500.0]);
        // On no grid there is nothing to spread.
        assert_eq!(arrivals_ms(shape(1.0, true), &[0, 3, 7, 1000], 0), [0.0, 3.0, 7.0, 1000.0]);
    }

    #[test]
    fn times_on_a_grid_are_spread_within_it() {
        let recorded: Vec<u64> = (0..40).map(|i| i / 10 * 3000).collect();
        let times = arrivals_ms(shape(1.0, true), &recorded, 7);
        assert!(times.is_sorted() && times[0] == 0.0);
        // The first of all is at 0: the others keep their places to it.
        let mut rng = PythonRandom::new(7);
        let mut expected: Vec<f64> = (0..40).map(|i| f64::from(i / 10 * 3000) + rng.random() * 3000.0).collect();
        expected.sort_by(f64::total_cmp);
        for (time, expected_at) in times.iter().zip(&expected) {
            assert!((time - (expected_at - expected[0])).abs() < 1e-5, "{time} {expected_at}");
        }
        assert_ne!(times, arrivals_ms(shape(1.0, true), &recorded, 8));
        assert_eq!(times, arrivals_ms(shape(1.0, true), &recorded, 7));
        // At twice the time, the same twice as far apart.
        let slow = arrivals_ms(shape(2.0, true), &recorded, 7);
        assert!(slow.iter().zip(&times).all(|(slow, time)| (slow - 2.0 * time).abs() < 1e-5));
    }

    #[test]
    fn what_a_recorded_load_says_of_itself() {
        let limited = Recorded { max_in_flight: Some(7), ..shape(0.5, true) };
        assert_eq!([9, 2000, 0].map(|prompts| shape(1.0, false).connections(prompts)), [9, 64, 1]);
        assert_eq!(
            (limited.connections(2000), limited.max_in_flight(), limited.tiny().max_in_flight()),
            (7, Some(7), Some(7))
        );
        assert!(limited.is_recorded() && !limited.tiny().is_recorded());
        assert_eq!(shape(1.0, false).to_string(), "open loop at recorded times");
        let said = "open loop at recorded times × 0.5, spread between the points of their grid, at most 7 in flight";
        assert_eq!(limited.to_string(), said);
        // What lies just as far apart as a clock may be off is two moments.
        assert!(is_one_moment(&5, &(4 + JITTER_NS)) && !is_one_moment(&5, &(5 + JITTER_NS)));
    }

    #[test]
    fn what_must_be_known_is_said() {
        let remark = |shape: Recorded, recorded: &[u64]| shape.remark(&at(recorded)).unwrap_or_default();
        assert_eq!(
            remark(shape(1.0, false), &[0, 3000, 3000, 9000]),
            "the 4 requests have only 3 different recorded times, at least 3 s apart, so they are sent in bursts; --spread spreads them out"
        );
        // As in Mooncake's own trace, whose clock is a millisecond off now and then.
        let jittered = remark(shape(1.0, false), &[0, 0, 3000, 3000, 5999, 5999, 6000, 9000]);
        assert!(jittered.contains("only 4 different recorded times, at least 2.999 s apart"), "{jittered}");
        let at_once = remark(shape(1.0, true), &[0, 0, 0]);
        assert_eq!(at_once, "all 3 requests have the same recorded time, so they are sent at once");
        assert_eq!(shape(1e30, false).arrivals_ns(&[0, u64::MAX], 0)[1], 1_000_000_000_000_000_000);
        assert_eq!(remark(shape(1.0, true), &[0, 3000, 3000, 9000]), "");
        assert!(remark(shape(1.0, true), &[0, 3001, 9003]).starts_with("--spread has no effect"));
        // Each at a moment of its own is no burst.
        assert_eq!(remark(shape(1.0, false), &[0, 3000, 9000]), "");
        // An hour is not too long, and a request alone is no burst.
        assert_eq!(
            (remark(shape(1.0, false), &[0, 3_600_000]), remark(shape(1.0, false), &[0])),
            (String::new(), String::new())
        );
        assert!(remark(shape(2.0, false), &[0, 3_600_000]).starts_with("the last prompt is sent after 2.0 hours"));
        assert_eq!(most_in_a_second(&[0, 1, 999_999_999, 1_000_000_000, 1_000_000_001]), 3);
        assert_eq!((most_in_a_second(&[]), Grid::of(&[])), (0, None));
    }
}
