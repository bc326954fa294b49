use serde::{Deserialize, Serialize};

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
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            min,
            max,
            p50: percentile(&values, 0.50),
            p90: percentile(&values, 0.90),
            p95: percentile(&values, 0.95),
            p99: percentile(&values, 0.99),
            count: values.len(),
        })
    }
}

/// The quantile of sorted values by linear interpolation between the two nearest ranks: definition 7 of Hyndman and Fan
/// (1996), the default of numpy and R.
///
/// # Panics
/// Where there are no values.
pub fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    let rank = quantile * (sorted.len() - 1) as f64;
    let below = rank.floor() as usize;
    let above = rank.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (rank - below as f64)
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
    }
}
