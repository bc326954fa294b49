use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::metrics::{Better, ByMetric, Metric, PassMetrics};

/// A metric over all passes of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Geometric mean of the passes.
    pub point: f64,
    /// Lower end of the confidence interval; `null` where there is none.
    pub lower: Option<f64>,
    /// Upper end of the confidence interval; `null` where there is none.
    pub upper: Option<f64>,
    /// The interval's level, 0.95 unless set otherwise.
    pub confidence_level: f64,
    /// `s` or `1/min`, `1/s`.
    pub unit: String,
    /// Which direction is the good one.
    pub better: Better,
    /// What the interval rests on.
    #[serde(default)]
    pub replication: Replication,
}

/// What was repeated, so that an interval could be drawn from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replication {
    /// Passes: the interval covers what other passes would give.
    #[default]
    Pass,
    /// Batches of the requests of one pass: the interval holds within that run alone.
    Batch,
}

/// A mean with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Geometric mean.
    pub point: f64,
    /// Ends of the interval; `None` for a single value.
    pub ends: Option<(f64, f64)>,
}

/// The geometric mean of one value a pass, and Student's t interval on the logarithms.
///
/// Rates and latencies are positive, and what disturbs them does so by a factor; on the logarithm the interval is therefore
/// symmetric, and it is exact for log-normal noise between passes however few they are (Student 1908), and as good as
/// exact for normal noise of some per cent. `None` where a value is not positive and finite, or there is none.
pub fn interval(values: &[f64], confidence_level: f64) -> Option<Interval> {
    let logs = MeanOfLogs::of(values)?;
    let ends = logs.standard_error.map(|standard_error| {
        let half = t_quantile(0.5 + confidence_level / 2.0, logs.degrees_of_freedom()) * standard_error;
        ((logs.mean - half).exp(), (logs.mean + half).exp())
    });
    Some(Interval { point: logs.mean.exp(), ends })
}

/// The mean of logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MeanOfLogs {
    pub n: usize,
    pub mean: f64,
    /// `None` for a single value.
    pub standard_error: Option<f64>,
}

impl MeanOfLogs {
    /// Of values that are positive and finite, or `None`.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|v| !v.is_finite() || *v <= 0.0) {
            return None;
        }
        let n = values.len() as f64;
        let logs = || values.iter().map(|value| value.ln());
        let mean = logs().sum::<f64>() / n;
        let standard_error = (values.len() > 1).then(|| {
            let variance = logs().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
            (variance / n).sqrt()
        });
        Some(Self { n: values.len(), mean, standard_error })
    }

    pub fn degrees_of_freedom(&self) -> f64 {
        (self.n - 1) as f64
    }
}

/// Student's t: the value below which that share of the distribution lies.
pub(super) fn t_quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(probability))
}

/// Student's t: the share of the distribution above a value.
pub(super) fn t_above(value: f64, degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(1.0, |t| t.sf(value))
}

/// Every metric that all passes measured. The pass is the unit of replication.
pub fn estimates(passes: &[PassMetrics], confidence_level: f64) -> ByMetric<Estimate> {
    let estimate = |metric: Metric| {
        let values: Option<Vec<f64>> = passes.iter().map(|pass| metric.of(pass)).collect();
        let interval = interval(&values?, confidence_level)?;
        Some((metric, Estimate::new(metric, interval, confidence_level, Replication::Pass)))
    };
    Metric::all().filter_map(estimate).collect()
}

impl Estimate {
    pub(super) fn new(metric: Metric, interval: Interval, confidence_level: f64, replication: Replication) -> Self {
        let (lower, upper) = interval.ends.unzip();
        let unit = metric.unit().to_owned();
        Self { point: interval.point, lower, upper, confidence_level, unit, better: metric.better(), replication }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::samples::{report, scale, set};

    #[test]
    fn every_metric_that_all_passes_measured() {
        let passes = report(|r| {
            scale(r, &["rpm"], [1.0, 2.0, 4.0]);
            r["passes"][1]["itl_s"] = serde_json::Value::Null;
            set(r, "ttfo_s", serde_json::Value::Null);
            scale(r, &["e2e_s", "p99"], [1.0, 0.0, 1.0]);
        })
        .passes;
        let estimates = estimates(&passes, 0.9);
        let names: Vec<String> = estimates.keys().map(ToString::to_string).collect();
        assert!(names.contains(&"e2e_p50".to_owned()) && !names.contains(&"e2e_p99".to_owned()), "{names:?}");
        assert_eq!(names.len(), Metric::all().count() - 5 - 5 - 1);
        let rpm = &estimates[&"rpm".parse().unwrap()];
        let (lower, upper) = interval(&[1.0, 2.0, 4.0], 0.9).unwrap().ends.unwrap();
        assert_eq!((rpm.point, rpm.lower, rpm.upper, rpm.confidence_level), (2.0, Some(lower), Some(upper), 0.9));
        assert_eq!((&*rpm.unit, rpm.better, rpm.replication), ("1/min", Better::Higher, Replication::Pass));
        // One pass has no interval.
        let alone = super::estimates(&passes[..1], 0.9);
        assert_eq!(alone[&"rpm".parse().unwrap()].lower, None);
        assert!(super::estimates(&[], 0.9).is_empty());
    }
}
