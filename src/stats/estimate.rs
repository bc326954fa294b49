use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stopping::Stopping;
use crate::metrics::{Better, ByMetric, Metric, PassMetrics};

/// A metric over all passes of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Geometric mean of the passes; arithmetic, of what can be 0.
    pub point: f64,
    /// Lower end of the confidence interval; `null` where there is none.
    pub lower: Option<f64>,
    /// Upper end of the confidence interval; `null` where there is none.
    pub upper: Option<f64>,
    /// The interval's level, 0.95 unless set otherwise.
    pub confidence_level: f64,
    /// `s`, `1/s`, `1/min`, or `1` for a share.
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
    /// Processes of the server, over which the passes were spread: the interval covers what other processes would give.
    Process,
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

/// The geometric mean of one value a pass, and Student's t interval on the logarithms, or the sequence that stands for it.
///
/// Passes come by unit: each by itself, or those of one process of the server together, whose mean counts as one. Rates and
/// latencies are positive, and what disturbs them does so by a factor; on the logarithm the interval is therefore symmetric, and
/// it is exact for log-normal noise however few units there are (Student 1908), and as good as exact for normal noise of some
/// per cent. `None` where a value is not positive and finite, or there is none.
pub fn interval(units: &[Vec<f64>], confidence_level: f64, stopping: Stopping) -> Option<Interval> {
    let logs = Means::of_logs(units)?;
    let ends = logs.standard_error.map(|standard_error| {
        let half = stopping.reach(logs.n, confidence_level) * standard_error;
        ((logs.mean - half).exp(), (logs.mean + half).exp())
    });
    // An interval without ends says nothing.
    let ends = ends.filter(|(lower, upper)| *lower > 0.0 && upper.is_finite());
    Some(Interval { point: logs.mean.exp(), ends })
}

/// The point alone, of any number that passes have: what stands beside an estimate is put together as it is. `None` where no pass has it,
/// or one is not positive.
pub fn over_passes(passes: &[PassMetrics], of: impl Fn(&PassMetrics) -> Option<f64>) -> Option<f64> {
    let units = by_process(passes);
    let values = units.iter().map(|unit| unit.iter().filter_map(|pass| of(pass)).collect::<Vec<_>>());
    let values: Vec<Vec<f64>> = values.filter(|values| !values.is_empty()).collect();
    Some(Means::of_logs(&values)?.mean.exp())
}

/// As [`interval`], for values of which some may be 0, which has no logarithm: their arithmetic mean, and Student's t on the values. No end is
/// below 0, nor above `most`.
pub fn interval_of_means(units: &[Vec<f64>], most: f64, confidence_level: f64, stopping: Stopping) -> Option<Interval> {
    let means = Means::of(units)?;
    let ends = means.standard_error.map(|standard_error| {
        let half = stopping.reach(means.n, confidence_level) * standard_error;
        ((means.mean - half).max(0.0), (means.mean + half).min(most))
    });
    Some(Interval { point: means.mean, ends: ends.filter(|(lower, upper)| lower.is_finite() && upper.is_finite()) })
}

/// The mean of the units' means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Means {
    /// Units.
    pub n: usize,
    pub mean: f64,
    /// `None` for a single unit.
    pub standard_error: Option<f64>,
}

impl Means {
    /// Of values that are finite and not negative, or `None`.
    pub fn of(units: &[Vec<f64>]) -> Option<Self> {
        let wrong = |value: &f64| !value.is_finite() || *value < 0.0;
        if units.is_empty() || units.iter().any(|unit| unit.is_empty() || unit.iter().any(wrong)) {
            return None;
        }
        Some(Self::of_units(units.iter().map(|unit| unit.iter().sum::<f64>() / unit.len() as f64)))
    }

    /// Of the logarithms of values that are positive and finite, or `None`. With a unit of several values the model is a random effect of the unit and
    /// one of the value: where all units have as many, the mean of their means has the variance that their spread shows, with one
    /// degree of freedom less than there are units, exactly; where they have not, nearly (Searle, Casella and McCulloch, *Variance
    /// Components*, 1992, ch. 3; for benchmarks Kalibera and Jones, *Rigorous benchmarking in reasonable time*, ISMM 2013).
    pub fn of_logs(units: &[Vec<f64>]) -> Option<Self> {
        let wrong = |value: &f64| !value.is_finite() || *value <= 0.0;
        if units.is_empty() || units.iter().any(|unit| unit.is_empty() || unit.iter().any(wrong)) {
            return None;
        }
        let mean_log = |unit: &Vec<f64>| unit.iter().map(|value| value.ln()).sum::<f64>() / unit.len() as f64;
        Some(Self::of_units(units.iter().map(mean_log)))
    }

    /// Of one value a unit.
    pub fn of_units(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count();
        let mean = values.clone().sum::<f64>() / n as f64;
        let standard_error = (n > 1).then(|| {
            let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0);
            (variance / n as f64).sqrt()
        });
        Self { n, mean, standard_error }
    }
}

/// Each value by itself.
pub fn each<T: Copy>(values: &[T]) -> Vec<Vec<T>> {
    values.iter().map(|value| vec![*value]).collect()
}

/// Every metric that all passes measured. The unit of replication is the pass, or the process of the server, where passes went to
/// several.
pub fn estimates(passes: &[PassMetrics], confidence_level: f64, stopping: Stopping) -> ByMetric<Estimate> {
    let units = by_process(passes);
    let replication = if units.len() < passes.len() { Replication::Process } else { Replication::Pass };
    let estimate = |metric: Metric| {
        let of_unit = |unit: &Vec<&PassMetrics>| unit.iter().map(|pass| metric.of(pass)).collect::<Option<Vec<f64>>>();
        let values: Option<Vec<Vec<f64>>> = units.iter().map(of_unit).collect();
        let interval = interval_of(metric.quantity().can_be_zero, metric.unit(), &values?, confidence_level, stopping)?;
        Some((metric, Estimate::new(metric, interval, confidence_level, replication)))
    };
    Metric::all().filter_map(estimate).collect()
}

/// The interval of what can be 0, or can't.
pub(super) fn interval_of(
    can_be_zero: bool,
    unit: &str,
    units: &[Vec<f64>],
    confidence_level: f64,
    stopping: Stopping,
) -> Option<Interval> {
    let most = if unit == "1" { 1.0 } else { f64::INFINITY };
    match can_be_zero {
        true => interval_of_means(units, most, confidence_level, stopping),
        false => interval(units, confidence_level, stopping),
    }
}

/// Passes by the process of the server that they went to, where there were several; each by itself, where not.
pub(super) fn by_process(passes: &[PassMetrics]) -> Vec<Vec<&PassMetrics>> {
    let mut units: BTreeMap<Option<usize>, Vec<&PassMetrics>> = BTreeMap::new();
    passes.iter().for_each(|pass| units.entry(pass.instance).or_default().push(pass));
    match units.len() {
        0 | 1 => passes.iter().map(|pass| vec![pass]).collect(),
        _ => units.into_values().collect(),
    }
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
    fn intervals_that_reach_to_nothing_or_for_ever_have_no_ends() {
        // The upper end of the first is a number, its lower one is not above 0.
        let wide = interval(&each(&[1e-42, 1e7]), 0.95, Stopping::Planned).unwrap();
        assert!(wide.ends.is_none() && (wide.point / 3.162e-18 - 1.0).abs() < 1e-3, "{wide:?}");
        assert!(interval(&each(&[1.0, 2.0]), 0.95, Stopping::Planned).unwrap().ends.is_some());
        let of_means = |values: &[f64], most| interval_of_means(&each(values), most, 0.95, Stopping::Planned).unwrap();
        assert_eq!(of_means(&[1e308, 0.0], f64::INFINITY).ends, None);
        assert_eq!(of_means(&[0.0, 0.2], 1.0).ends.unwrap().0, 0.0);
        let share = interval_of(true, "1", &each(&[0.9, 1.0]), 0.95, Stopping::Planned).unwrap().ends.unwrap();
        let rate = interval_of(true, "1/s", &each(&[0.9, 1.0]), 0.95, Stopping::Planned).unwrap().ends.unwrap();
        assert!(share.1 == 1.0 && rate.1 > 1.5, "{share:?} {rate:?}");
    }

    #[test]
    fn means_are_of_values_that_can_be() {
        let of = |units: &[Vec<f64>]| Means::of(units).map(|means| (means.n, means.mean));
        assert_eq!(of(&[vec![1.0, 3.0], vec![2.0, 5.0]]), Some((2, 2.75)));
        assert_eq!(of(&[vec![0.0]]), Some((1, 0.0)));
        for wrong in [
            vec![],
            vec![vec![]],
            vec![vec![-1.0]],
            vec![vec![f64::NAN]],
            vec![vec![1.0], vec![]],
            vec![vec![f64::INFINITY, 1.0]],
        ] {
            assert_eq!(of(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_metric_that_all_passes_measured() {
        let passes = report(|r| {
            scale(r, &["rpm"], [1.0, 2.0, 4.0]);
            r["passes"][1]["itl_s"] = serde_json::Value::Null;
            set(r, "ttfo_s", serde_json::Value::Null);
            scale(r, &["e2e_s", "p99"], [1.0, 0.0, 1.0]);
        })
        .passes;
        let estimates = estimates(&passes, 0.9, Stopping::Planned);
        let names: Vec<String> = estimates.keys().map(ToString::to_string).collect();
        assert!(names.contains(&"e2e_p50".to_owned()) && !names.contains(&"e2e_p99".to_owned()), "{names:?}");
        assert_eq!(names.len(), Metric::all().count() - 5 - 5 - 2);
        let rpm = &estimates[&"rpm".parse().unwrap()];
        let (lower, upper) = interval(&each(&[1.0, 2.0, 4.0]), 0.9, Stopping::Planned).unwrap().ends.unwrap();
        assert_eq!((rpm.point, rpm.lower, rpm.upper, rpm.confidence_level), (2.0, Some(lower), Some(upper), 0.9));
        assert_eq!((&*rpm.unit, rpm.better, rpm.replication), ("1/min", Better::Higher, Replication::Pass));
        // One pass has no interval.
        let alone = super::estimates(&passes[..1], 0.9, Stopping::Planned);
        assert_eq!(alone[&"rpm".parse().unwrap()].lower, None);
        assert!(super::estimates(&[], 0.9, Stopping::Planned).is_empty());
    }

    #[test]
    fn passes_of_one_process_are_one_unit() {
        let rpm = "rpm".parse().unwrap();
        let of = |instances: [serde_json::Value; 3]| {
            let passes = report(|r| {
                scale(r, &["rpm"], [1.0, 4.0, 16.0]);
                for (i, instance) in instances.into_iter().enumerate() {
                    r["passes"][i]["instance"] = instance;
                }
            });
            estimates(&passes.passes, 0.95, Stopping::Planned)[&rpm].clone()
        };
        let two = of([1.into(), 1.into(), 2.into()]);
        // ln 2 and ln 16: the mean of two units, with one degree of freedom.
        assert!((two.point - 32f64.sqrt()).abs() < 1e-12, "{two:?}");
        let expected = interval(&each(&[2.0, 16.0]), 0.95, Stopping::Planned).unwrap().ends;
        assert_eq!((two.lower.zip(two.upper), two.replication), (expected, Replication::Process));
        let one = of([1.into(), 1.into(), 1.into()]);
        let unknown = of([serde_json::Value::Null, serde_json::Value::Null, serde_json::Value::Null]);
        assert_eq!((&one, one.replication), (&unknown, Replication::Pass));
        assert_eq!(of([1.into(), 2.into(), 3.into()]), one);
    }
}
