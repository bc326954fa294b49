use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::metrics::{Latency, PassMetrics};

/// Which direction of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Throughputs.
    Higher,
    /// Latencies.
    Lower,
}

/// A metric over all passes of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Geometric mean of the passes.
    pub point: f64,
    /// Lower end of the confidence interval; `null` for a single pass.
    pub lower: Option<f64>,
    /// Upper end of the confidence interval; `null` for a single pass.
    pub upper: Option<f64>,
    /// The interval's level, 0.95 unless set otherwise.
    pub confidence_level: f64,
    /// `s` or `1/min`, `1/s`.
    pub unit: String,
    /// Which direction is the good one.
    pub better: Better,
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
/// symmetric, and it is exact for normal or log-normal noise between passes however few they are (Student 1908). `None`
/// where a value is not positive and finite, or there is none.
pub fn interval(values: &[f64], confidence_level: f64) -> Option<Interval> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite() || *v <= 0.0) {
        return None;
    }
    let n = values.len() as f64;
    let logs: Vec<f64> = values.iter().map(|v| v.ln()).collect();
    let mean = logs.iter().sum::<f64>() / n;
    let ends = (values.len() > 1).then(|| {
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = t_quantile(0.5 + confidence_level / 2.0, n - 1.0) * (variance / n).sqrt();
        ((mean - half).exp(), (mean + half).exp())
    });
    Some(Interval { point: mean.exp(), ends })
}

fn t_quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(probability))
}

/// Every metric that all passes measured, under the names that the gate and the reports use: `rpm`,
/// `output_tokens_per_s`, `total_tokens_per_s`, and `mean`, `p50`, `p90`, `p95`, `p99` of `ttft`, `ttfo`, `tpot`, `itl`
/// and `e2e`.
pub fn estimates(passes: &[PassMetrics], confidence_level: f64) -> BTreeMap<String, Estimate> {
    let mut all = BTreeMap::new();
    let mut add = |name: String, unit: &str, better, value: &dyn Fn(&PassMetrics) -> Option<f64>| {
        let values: Option<Vec<f64>> = passes.iter().map(value).collect();
        if let Some(Interval { point, ends }) = values.and_then(|values| interval(&values, confidence_level)) {
            let (lower, upper) = ends.unzip();
            all.insert(name, Estimate { point, lower, upper, confidence_level, unit: unit.to_owned(), better });
        }
    };
    add("rpm".to_owned(), "1/min", Better::Higher, &|pass| Some(pass.rpm));
    add("output_tokens_per_s".to_owned(), "1/s", Better::Higher, &|pass| Some(pass.output_tokens_per_s));
    add("total_tokens_per_s".to_owned(), "1/s", Better::Higher, &|pass| Some(pass.total_tokens_per_s));
    type Of<T> = fn(&T) -> f64;
    let latencies: [(&str, fn(&PassMetrics) -> Option<Latency>); 5] = [
        ("ttft", |pass| pass.ttft_s),
        ("ttfo", |pass| pass.ttfo_s),
        ("tpot", |pass| pass.tpot_s),
        ("itl", |pass| pass.itl_s),
        ("e2e", |pass| pass.e2e_s),
    ];
    let points: [(&str, Of<Latency>); 5] =
        [("mean", |l| l.mean), ("p50", |l| l.p50), ("p90", |l| l.p90), ("p95", |l| l.p95), ("p99", |l| l.p99)];
    for (name, latency) in latencies {
        for (point, of) in points {
            add(format!("{name}_{point}"), "s", Better::Lower, &|pass| latency(pass).map(|l| of(&l)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected by scipy: exp(mean(log x) ± t.ppf(0.975, n - 1) * sem(log x)).
    #[test]
    fn intervals_are_scipys() {
        let table: &[(&[f64], f64, Option<(f64, f64)>)] = &[
            (&[5.0], 5.0, None),
            (&[10.0, 11.0, 12.0], 10.969613104865, Some((8.745986371596, 13.758586688545))),
            (&[100.0, 101.0, 99.0, 100.5, 99.5], 99.997499924996, Some((99.020673149448, 100.983962976677))),
        ];
        for (values, point, ends) in table {
            let got = interval(values, 0.95).unwrap();
            let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{values:?}: {a} is not {b}");
            near(got.point, *point);
            assert_eq!(got.ends.is_some(), ends.is_some());
            if let (Some((lower, upper)), Some((l, u))) = (got.ends, ends) {
                near(lower, *l);
                near(upper, *u);
            }
        }
        for none in [&[][..], &[1.0, 0.0], &[f64::NAN], &[1.0, f64::INFINITY]] {
            assert_eq!(interval(none, 0.95), None);
        }
    }
}
