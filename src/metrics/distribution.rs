use serde::{Deserialize, Serialize};

use crate::client::Gap;

/// A distribution within one pass: of latencies in seconds, or of lengths in tokens.
///
/// Requests of a pass share queue, batch and cache: these describe the pass, and are no independent samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Arithmetic mean.
    pub mean: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// How many values there were.
    pub count: usize,
}

impl Distribution {
    /// Of these values, or `None` where there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        Self::of_sorted(&values, |value| value)
    }

    /// Of gaps between token events, in seconds. There may be tens of millions: they stay as small as they are.
    pub fn of_gaps(mut gaps: Vec<Gap>) -> Option<Self> {
        gaps.sort_unstable();
        Self::of_sorted(&gaps, Gap::seconds)
    }

    fn of_sorted<T: Copy>(sorted: &[T], value: fn(T) -> f64) -> Option<Self> {
        let quantile = |quantile| interpolated(sorted, quantile, value);
        Some(Self {
            mean: sorted.iter().map(|item| value(*item)).sum::<f64>() / sorted.len() as f64,
            min: value(*sorted.first()?),
            max: value(*sorted.last()?),
            p50: quantile(0.50),
            p90: quantile(0.90),
            p95: quantile(0.95),
            p99: quantile(0.99),
            count: sorted.len(),
        })
    }
}

/// The quantile of sorted values by linear interpolation between the two nearest ranks: definition 7 of Hyndman and Fan
/// (1996), the default of numpy and R.
///
/// # Panics
/// Where there are no values.
#[cfg(feature = "harness")]
pub fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    interpolated(sorted, quantile, |value| value)
}

fn interpolated<T: Copy>(sorted: &[T], quantile: f64, value: fn(T) -> f64) -> f64 {
    let rank = quantile * (sorted.len() - 1) as f64;
    let below = rank.floor() as usize;
    let above = rank.ceil() as usize;
    let (low, high) = (value(sorted[below]), value(sorted[above]));
    low + (high - low) * (rank - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by numpy.percentile(values, [50, 90, 95, 99]).
    #[test]
    fn percentiles_are_numpys() {
        let table: &[(&[f64], [f64; 4])] = &[
            (&[3.0], [3.0; 4]),
            (&[1.0, 2.0], [1.5, 1.9, 1.95, 1.99]),
            (&[5.0, 1.0, 4.0, 2.0, 3.0], [3.0, 4.6, 4.8, 4.96]),
            (&[0.1, 0.4, 0.2, 10.0], [0.3, 7.12, 8.56, 9.712]),
        ];
        for (values, expected) in table {
            let of = Distribution::of(values.to_vec()).unwrap();
            let got = [of.p50, of.p90, of.p95, of.p99];
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-9, "{values:?}: {got} is not {expected}");
            }
        }
        assert_eq!(Distribution::of(vec![]), None);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        let of = Distribution::of(vec![3.0, 1.0, 5.0, 7.0]).unwrap();
        assert_eq!((of.mean, of.min, of.max, of.count), (4.0, 1.0, 7.0, 4));
        let gaps = Distribution::of_gaps([30, 10, 20].map(|ms| Gap::from_ns(ms * 1_000_000)).to_vec()).unwrap();
        assert_eq!((gaps.min, gaps.p50, gaps.max, gaps.count), (0.01, 0.02, 0.03, 3));
    }
}
