//! What more load brings: where throughput stops growing, and where it is the most for its latency.

use super::Estimate;
use crate::metrics::{ByMetric, Metric};

/// A load, and what it got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtLoad {
    /// Clients, or requests per second.
    pub load: f64,
    /// Output tokens per second; requests per minute where no tokens come.
    pub throughput: f64,
    /// The median time of a request, in seconds.
    pub latency_s: f64,
}

/// A load is worth it that gains this share of its own growth in throughput.
const WORTH: f64 = 0.1;

impl AtLoad {
    /// From what was estimated at a load; `None` where nothing was.
    pub fn of(load: f64, estimates: &ByMetric<Estimate>) -> Option<Self> {
        let of = |name: &str| {
            estimates.get(&name.parse::<Metric>().ok()?).map(|estimate| estimate.point).filter(|point| *point > 0.0)
        };
        let throughput = of("output_tokens_per_s").or_else(|| of("rpm"))?;
        Some(Self { load, throughput, latency_s: of("e2e_p50")? })
    }

    /// Throughput over latency: the power of a queueing system (Kleinrock, Power and deterministic rules of thumb for probabilistic problems
    /// in computer communications, ICC 1979).
    fn power(&self) -> f64 {
        self.throughput / self.latency_s
    }
}

/// The load with the most throughput for its latency, which is where [`AtLoad::power`] is greatest; `None` where there are fewer than
/// three loads.
pub fn knee(loads: &[AtLoad]) -> Option<usize> {
    let greatest = (0..loads.len()).max_by(|a, b| loads[*a].power().total_cmp(&loads[*b].power()));
    greatest.filter(|_| loads.len() > 2)
}

/// Whether more load only makes requests wait: less than a tenth of its growth is gained in throughput, and more than that in latency.
pub fn is_saturated(before: &AtLoad, now: &AtLoad) -> bool {
    let growth = |of: fn(&AtLoad) -> f64| of(now) / of(before) - 1.0;
    let worth = WORTH * growth(|at| at.load);
    growth(|at| at.throughput) < worth && growth(|at| at.latency_s) > worth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        run::samples::{report, scale},
        stats::{
            Replication, Stopping,
            estimate::{Interval, estimates},
        },
    };

    /// A server that holds `most` requests at once, each of which takes a second: by Little's law.
    fn server(most: f64) -> Vec<AtLoad> {
        let loads = (0..8).map(|doubled| f64::from(1 << doubled));
        loads.map(|load| AtLoad { load, throughput: load.min(most), latency_s: (load / most).max(1.0) }).collect()
    }

    #[test]
    fn a_queue_forms_beyond_the_knee() {
        for (most, expected) in [(1.0, 0), (16.0, 4), (100.0, 7), (128.0, 7)] {
            let loads = server(most);
            let knee = knee(&loads).unwrap();
            assert_eq!(knee, expected, "{most}");
            for (i, pair) in loads.windows(2).enumerate() {
                assert_eq!(is_saturated(&pair[0], &pair[1]), loads[i].load >= most, "{most} {i}");
            }
        }
        assert_eq!(knee(&server(4.0)[..2]), None);
        // A load that costs nothing is not the last.
        let at = |load, throughput, latency_s| AtLoad { load, throughput, latency_s };
        assert!(!is_saturated(&at(1.0, 9.0, 1.0), &at(2.0, 9.0, 1.0)));
        // Three times the load: a tenth of what it grew by is a fifth of the throughput.
        assert!(is_saturated(&at(1.0, 10.0, 1.0), &at(3.0, 11.0, 2.9)));
        assert!(
            is_saturated(&at(1.0, 9.0, 1.0), &at(2.0, 9.5, 1.9))
                && !is_saturated(&at(1.0, 9.0, 1.0), &at(2.0, 11.0, 1.9))
        );
    }

    #[test]
    fn estimates_of_nothing_give_no_point() {
        assert_eq!(AtLoad::of(1.0, &ByMetric::default()), None);
        let of = |rate: f64, latency: f64| {
            let passes = report(|r| {
                scale(r, &["output_tokens_per_s"], [rate; 3]);
                scale(r, &["e2e_s", "p50"], [latency; 3]);
            })
            .passes;
            AtLoad::of(4.0, &estimates(&passes, 0.95, Stopping::Planned)).map(|at| (at.throughput, at.latency_s))
        };
        assert_eq!(of(2.0, 3.0).map(|(rate, latency)| (rate.round(), latency.round())), Some((2.0, 3.0)));
        // Without tokens, requests are what gets through.
        assert_eq!(of(0.0, 3.0).map(|(rate, _)| rate.round()), Some(1.0));
        assert_eq!(of(2.0, 0.0), None);
        let estimates = [("output_tokens_per_s", 0.0), ("rpm", 60.0), ("e2e_p50", 2.0)].map(|(name, point)| {
            let metric: Metric = name.parse().unwrap();
            let interval = Interval { point, ends: None };
            (metric, Estimate::new(metric, interval, 0.95, Replication::Pass))
        });
        assert_eq!(AtLoad::of(4.0, &estimates.into_iter().collect()).map(|at| at.throughput), Some(60.0));
    }
}
