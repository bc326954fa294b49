//! What one pass alone can say of its own spread.

use super::{
    Estimate, Interval, Replication, Stopping,
    estimate::{Means, each},
};
use crate::{
    client::{ConnectionStats, Record},
    metrics::{ByMetric, Metric, PassMetrics, Point},
};

/// So many batches: enough for the t distribution, few enough that each is long against the ties between neighbours
/// (Schmeiser 1982 finds 10 to 30 the best).
pub const BATCHES: usize = 10;
/// Requests that a batch needs beyond the percentile that it estimates.
const LEAST_BEYOND: f64 = 10.0;

/// The metrics of one pass with intervals by batch means (Conway 1963): the requests, in the order in which they ended, are
/// cut into ten batches, which are long enough to be nearly independent. The interval holds within this one run; what
/// another pass would give it cannot tell. Metrics for which the batches are too short have none.
pub fn estimates_within(pass: &PassMetrics, records: &[Record], confidence_level: f64) -> ByMetric<Estimate> {
    let batches = batches(pass, records);
    let estimate = |metric: Metric| {
        let is_value = |value: &f64| *value > 0.0 || *value == 0.0 && metric.quantity().can_be_zero;
        let point = metric.of(pass).filter(|value| value.is_finite() && is_value(value))?;
        let long_enough = batches.first().is_some_and(|batch| batch.completed as f64 * beyond(metric) >= LEAST_BEYOND);
        let values: Option<Vec<f64>> = batches.iter().map(|batch| metric.of(batch)).collect();
        let logs = values.filter(|_| long_enough).and_then(|values| Means::of_logs(&each(&values)));
        // The spread is that of the batches, the point that of the whole pass: ramp and drain belong to it.
        let ends = logs.and_then(|logs| {
            let half = Stopping::Planned.reach(logs.n, confidence_level) * logs.standard_error?;
            Some((point * (-half).exp(), point * half.exp()))
        });
        let interval = Interval { point, ends };
        Some((metric, Estimate::new(metric, interval, confidence_level, Replication::Batch)))
    };
    Metric::all().filter_map(estimate).collect()
}

/// The share of values beyond what a metric estimates.
fn beyond(metric: Metric) -> f64 {
    metric.point().and_then(Point::quantile).map_or(1.0, |quantile| 1.0 - quantile)
}

fn batches(pass: &PassMetrics, records: &[Record]) -> Vec<PassMetrics> {
    let mut completed: Vec<&Record> = records.iter().filter(|record| record.is_completed()).collect();
    completed.sort_by_key(|record| record.end_ns);
    let size = completed.len() / BATCHES;
    let Some(mut started_ns) = records.iter().filter_map(|record| record.sent_ns).min().filter(|_| size > 0) else {
        return Vec::new();
    };
    let of = |batch: &[&Record]| {
        let owned: Vec<Record> = batch.iter().map(|record| (*record).clone()).collect();
        let ended_ns = owned.iter().map(|record| record.end_ns).max().unwrap_or(started_ns);
        let mut metrics = PassMetrics::of(pass.seed, String::new(), &owned, ConnectionStats::default(), pass.client);
        metrics.set_duration(ended_ns.saturating_sub(started_ns) as f64 * 1e-9);
        started_ns = ended_ns;
        metrics
    };
    completed.chunks_exact(size).take(BATCHES).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Failure, FailureClass, TokenSource},
        metrics::ClientUse,
        stats::estimate::interval,
    };

    const MS: u64 = 1_000_000;

    /// One client's requests, one after another: those of the nth tenth take 10 + n ms, half of it to the first token.
    fn records(n: usize) -> Vec<Record> {
        let mut now_ns = 5 * MS;
        let record = |index: usize| {
            let takes_ns = (10 + index as u64 * 10 / n as u64) * MS;
            let mut record = Record::new(index, 7, 4);
            record.sent_ns = Some(now_ns);
            record.first_token_ns = Some(now_ns + takes_ns / 2);
            now_ns += takes_ns;
            (record.last_token_ns, record.end_ns) = (Some(now_ns), now_ns);
            record.output = Some((4, TokenSource::Usage));
            record.outcome = Ok(());
            record
        };
        (0..n).map(record).collect()
    }

    fn found(records: &[Record]) -> (PassMetrics, ByMetric<Estimate>) {
        let client = ClientUse { threads: 1, ..ClientUse::default() };
        let pass = PassMetrics::of(0, String::new(), records, ConnectionStats::default(), client);
        let estimates = estimates_within(&pass, records, 0.9);
        (pass, estimates)
    }

    fn ends(estimates: &ByMetric<Estimate>, name: &str) -> Option<(f64, f64)> {
        let estimate = estimates[&name.parse().unwrap()].clone();
        assert_eq!((estimate.replication, estimate.confidence_level), (Replication::Batch, 0.9));
        estimate.lower.zip(estimate.upper)
    }

    #[test]
    fn the_point_is_the_passes_and_the_spread_the_batches() {
        let mut requests = records(200);
        // Failures are in no batch, and order is that of the ends.
        let mut failed = Record::new(200, 7, 4);
        failed.sent_ns = Some(6 * MS);
        failed.outcome = Err(Failure::new(FailureClass::Empty, "x"));
        requests.insert(3, failed);
        requests.reverse();
        let (pass, estimates) = found(&requests);
        let per_batch = |of: fn(f64) -> f64| (0..10).map(|n| of(f64::from(10 + n) * 1e-3)).collect::<Vec<f64>>();
        for (name, of) in [
            ("rpm", (|takes_s| 60.0 / takes_s) as fn(f64) -> f64),
            ("output_tokens_per_s", |takes_s| 4.0 / takes_s),
            ("total_tokens_per_s", |takes_s| 11.0 / takes_s),
            ("ttft_p50", |takes_s| takes_s / 2.0),
            ("e2e_mean", |takes_s| takes_s),
        ] {
            let metric: Metric = name.parse().unwrap();
            let expected = interval(&each(&per_batch(of)), 0.9, Stopping::Planned).unwrap();
            let (lower, upper) = expected.ends.unwrap();
            let point = metric.of(&pass).unwrap();
            let (found_lower, found_upper) = ends(&estimates, name).unwrap();
            assert_eq!(estimates[&metric].point, point, "{name}");
            assert!((found_lower / point / (lower / expected.point) - 1.0).abs() < 1e-9, "{name}");
            assert!((found_upper / point / (upper / expected.point) - 1.0).abs() < 1e-9, "{name}");
        }
    }

    #[test]
    fn batches_that_are_too_short_have_no_interval() {
        // Ten beyond the percentile are needed in each batch: 20 requests for the median, 100 for the 90th.
        for (n, with, without) in [
            (200, &["rpm", "e2e_mean", "e2e_p50"][..], &["e2e_p90", "e2e_p99"][..]),
            (190, &["rpm", "e2e_mean"], &["e2e_p50"]),
            (100, &["rpm", "e2e_mean"], &["e2e_p50"]),
            (99, &[], &["rpm", "e2e_mean"]),
            (9, &[], &["rpm"]),
        ] {
            let (_, estimates) = found(&records(n));
            assert!(with.iter().all(|name| ends(&estimates, name).is_some()), "{n}");
            assert!(without.iter().all(|name| ends(&estimates, name).is_none()), "{n}");
        }
        // What was not measured, or is 0, has no estimate.
        let (_, estimates) = found(&records(20));
        assert!(!estimates.contains_key(&"itl_p50".parse().unwrap()));
        assert!(found(&[]).1.is_empty());
        // A goodput of nothing is a number, and a latency of nothing is none.
        let requests = records(200);
        let (mut pass, _) = found(&requests);
        (pass.good, pass.output_tokens_per_s) = (Some(0), 0.0);
        let estimates = estimates_within(&pass, &requests, 0.9);
        assert_eq!(estimates.get(&"good_share".parse().unwrap()).map(|estimate| estimate.point), Some(0.0));
        assert!(!estimates.contains_key(&"output_tokens_per_s".parse().unwrap()));
    }
}
