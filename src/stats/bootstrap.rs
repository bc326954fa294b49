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
