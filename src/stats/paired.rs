//! The change between two runs whose passes sent the same prompts.

use super::estimate::{MeanOfLogs, t_above, t_quantile};

/// The power at which [`PairedChange::detectable`] speaks of detecting.
pub const POWER: f64 = 0.8;
/// More passes than this are no advice.
const MOST_PASSES: usize = 1000;

/// The change of one metric from a baseline's passes to those of another run, paired by pass.
///
/// Pass *i* of both runs sent the same prompts, so what the prompts do to the metric cancels in the ratio, and the noise
/// between passes is left. The unit of replication is the pair. All of it is Student's one-sample t on the logarithms of
/// the ratios; changes are shares, so 0.05 is 5 % more than the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedChange {
    degrees_of_freedom: f64,
    mean: f64,
    standard_error: f64,
}

/// The band of changes that count as none: from `-share` to `+share`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    below: f64,
    above: f64,
}

impl Threshold {
    /// A share of the baseline, from 0 to less than 1.
    pub fn new(share: f64) -> Self {
        Self { below: (1.0 - share).ln(), above: (1.0 + share).ln() }
    }
}

impl PairedChange {
    /// Of `(baseline, new)` values, one pair a pass. `None` for fewer than two, or where a value is not positive and
    /// finite.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let ratios: Vec<f64> = pairs.iter().map(|(base, new)| new / base).collect();
        let logs = MeanOfLogs::of(&ratios)?;
        let standard_error = logs.standard_error?;
        Some(Self { degrees_of_freedom: logs.degrees_of_freedom(), mean: logs.mean, standard_error })
    }

    /// The estimate: the geometric mean of the ratios, less 1.
    pub fn change(&self) -> f64 {
        self.mean.exp_m1()
    }

    /// Its confidence interval.
    pub fn interval(&self, confidence_level: f64) -> (f64, f64) {
        let half = self.quantile(0.5 + confidence_level / 2.0) * self.standard_error;
        ((self.mean - half).exp_m1(), (self.mean + half).exp_m1())
    }

    /// Two-sided p-value of the hypothesis that the change lies within the threshold. It is below 1 − level exactly where the
    /// interval of that level lies beyond the threshold, and for a threshold of 0 it is that of the paired t test.
    pub fn p_beyond(&self, threshold: Threshold) -> f64 {
        let above = self.share_above((self.mean - threshold.above) / self.standard_error);
        let below = self.share_above((threshold.below - self.mean) / self.standard_error);
        (2.0 * above.min(below)).min(1.0)
    }

    /// p-value of the hypothesis that the change lies beyond the threshold: two one-sided tests (Schuirmann 1987), doubled
    /// so that it is below 1 − level exactly where the interval of that level lies inside the threshold.
    pub fn p_within(&self, threshold: Threshold) -> f64 {
        let not_above = self.share_above((threshold.above - self.mean) / self.standard_error);
        let not_below = self.share_above((self.mean - threshold.below) / self.standard_error);
        (2.0 * not_above.max(not_below)).min(1.0)
    }

    /// The change that would be found beyond the threshold four times of five, with so many passes and such noise.
    pub fn detectable(&self, threshold: Threshold, significance_level: f64) -> f64 {
        let reach = self.quantile(1.0 - significance_level / 2.0) + self.quantile(POWER);
        (threshold.above + reach * self.standard_error).exp_m1()
    }

    /// How many passes would bring the interval wholly beyond or wholly inside the threshold, if the change and the noise
    /// stay what they are; `None` where no number up to 1,000 would.
    pub fn passes_needed(&self, threshold: Threshold, significance_level: f64) -> Option<usize> {
        let distance = (self.mean - threshold.above).abs().min((self.mean - threshold.below).abs());
        let deviation = self.standard_error * (self.degrees_of_freedom + 1.0).sqrt();
        (2..=MOST_PASSES).find(|&n| {
            let half = t_quantile(1.0 - significance_level / 2.0, (n - 1) as f64) * deviation / (n as f64).sqrt();
            half < distance
        })
    }

    fn quantile(&self, probability: f64) -> f64 {
        t_quantile(probability, self.degrees_of_freedom)
    }

    /// The share of the t distribution above a value; the value of a change without any noise may be infinite, or, on the
    /// very edge of the threshold, not a number.
    fn share_above(&self, t: f64) -> f64 {
        match t {
            f64::INFINITY => 0.0,
            f64::NEG_INFINITY => 1.0,
            t if t.is_nan() => 0.5,
            t => t_above(t, self.degrees_of_freedom),
        }
    }
}
