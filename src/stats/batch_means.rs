//! What one pass alone can say of its own spread.

use super::{
    Estimate, Interval, Replication,
    estimate::{MeanOfLogs, t_quantile},
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
        let point = metric.of(pass).filter(|value| value.is_finite() && *value > 0.0)?;
        let long_enough = batches.first().is_some_and(|batch| batch.completed as f64 * beyond(metric) >= LEAST_BEYOND);
        let values: Option<Vec<f64>> = batches.iter().map(|batch| metric.of(batch)).collect();
        let logs = values.filter(|_| long_enough).and_then(|values| MeanOfLogs::of(&values));
        // The spread is that of the batches, the point that of the whole pass: ramp and drain belong to it.
        let ends = logs.and_then(|logs| {
            let half = t_quantile(0.5 + confidence_level / 2.0, logs.degrees_of_freedom()) * logs.standard_error?;
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
