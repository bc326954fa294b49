use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::metrics::percentile;

/// A statistic with what its bootstrap distribution says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Of the values themselves.
    pub point: f64,
    /// Standard deviation of the distribution.
    pub standard_error: f64,
    /// Lower end of the percentile interval.
    pub lower: f64,
    /// Upper end of the percentile interval.
    pub upper: f64,
}

/// Efron's percentile bootstrap (1979) of several statistics of one sample, as criterion does it. With the few values that
/// passes are, its intervals are too narrow: it serves criterion's files, and no verdict rests on it. The same values
/// give the same result each time. A statistic that is not finite for some resample counts as its point there.
///
/// # Panics
/// Where there are no values.
pub fn bootstrap<const N: usize>(
    values: &[f64],
    statistics: impl Fn(&[f64]) -> [f64; N],
    resamples: usize,
    confidence_level: f64,
) -> [Bootstrap; N] {
    let points = statistics(values);
    let mut rng = ChaCha8Rng::seed_from_u64(values.len() as u64);
    let mut distributions = [(); N].map(|()| Vec::with_capacity(resamples));
    let mut resample = values.to_vec();
    for _ in 0..resamples {
        resample.iter_mut().for_each(|value| *value = values[rng.random_range(0..values.len())]);
        for ((distribution, got), point) in distributions.iter_mut().zip(statistics(&resample)).zip(points) {
            distribution.push(if got.is_finite() { got } else { point });
        }
    }
    let mut results = points.map(|point| Bootstrap { point, standard_error: 0.0, lower: point, upper: point });
    for (result, mut distribution) in results.iter_mut().zip(distributions).filter(|_| resamples > 1) {
        distribution.sort_unstable_by(f64::total_cmp);
        let n = distribution.len() as f64;
        let mean = distribution.iter().sum::<f64>() / n;
        result.standard_error = (distribution.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        result.lower = percentile(&distribution, 0.5 - confidence_level / 2.0);
        result.upper = percentile(&distribution, 0.5 + confidence_level / 2.0);
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// The mean of two of 0 and 1 is 0, ½ and 1 with ¼, ½ and ¼.
    #[test]
    fn two_values_give_the_binomial_distribution() {
        let with = |level| bootstrap(&[0.0, 1.0], |values| [mean(values)], 10_000, level)[0];
        let narrow = with(0.4);
        assert_eq!((narrow.point, narrow.lower, narrow.upper), (0.5, 0.5, 0.5));
        let wide = with(0.6);
        assert_eq!((wide.point, wide.lower, wide.upper), (0.5, 0.0, 1.0));
        assert!((wide.standard_error - 0.125_f64.sqrt()).abs() < 0.005, "{wide:?}");
        assert_eq!(wide, with(0.6));
    }

    /// With few resamples the sample's standard deviation and the population's differ.
    #[test]
    fn the_standard_error_is_the_samples() {
        let seen = std::cell::RefCell::new(Vec::new());
        let statistics = |values: &[f64]| {
            seen.borrow_mut().push(mean(values));
            [mean(values)]
        };
        let [found] = bootstrap(&[1.0, 2.0, 4.0, 8.0], statistics, 3, 0.5);
        // The first is that of the values themselves.
        let seen = &seen.borrow()[1..];
        let center = mean(seen);
        let variance = seen.iter().map(|x| (x - center).powi(2)).sum::<f64>() / 2.0;
        assert!(variance > 0.0 && (found.standard_error - variance.sqrt()).abs() < 1e-12, "{found:?} {seen:?}");
    }

    #[test]
    fn statistics_that_are_not_finite_and_too_few_resamples() {
        let statistics = |values: &[f64]| [1.0 / mean(values), 7.0];
        let [inverse, constant] = bootstrap(&[0.0, 1.0], statistics, 10_000, 0.98);
        // 1, and 2 in place of infinity as well as of itself.
        assert_eq!((inverse.point, inverse.lower, inverse.upper), (2.0, 1.0, 2.0));
        assert_eq!(constant, Bootstrap { point: 7.0, standard_error: 0.0, lower: 7.0, upper: 7.0 });
        for resamples in [0, 1] {
            let alone = Bootstrap { point: 0.5, standard_error: 0.0, lower: 0.5, upper: 0.5 };
            assert_eq!(bootstrap(&[0.0, 1.0], |values| [mean(values)], resamples, 0.9), [alone]);
        }
    }
}
