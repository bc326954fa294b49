//! The change between two runs whose passes sent the same prompts.

use statrs::function::{erf::erfc, gamma::ln_gamma};

use super::{estimate::Means, stopping::Stopping};

/// The power at which [`PairedChange::detectable`] speaks of detecting.
pub const POWER: f64 = 0.8;
/// More units than this are no advice.
const MOST_UNITS: usize = 1000;

/// The change of one metric from a baseline's passes to those of another run, paired by pass.
///
/// Pass *i* of both runs sent the same prompts, so what the prompts do to the metric cancels in the ratio, and the noise
/// between passes is left. The unit of replication is the pair, or, where servers were started several times, the pair of
/// processes, whose passes share its luck: then a unit is the mean of its pairs. Student's one-sample t on the logarithms of the
/// ratios, or the sequence that stands for it; changes are shares, so 0.05 is 5 % more than the baseline. Where 0 is a value, which has
/// no logarithm, it is the ratio of the means ([`PairedChange::of_means`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedChange {
    scale: Scale,
    units: usize,
    mean: f64,
    standard_error: f64,
    stopping: Stopping,
}

/// What the mean and its standard error are of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// Logarithms of ratios.
    Log,
    /// Shares of the baseline's mean.
    Share,
}

impl Scale {
    fn of(self, share: f64) -> f64 {
        match self {
            Self::Log => (1.0 + share).ln(),
            Self::Share => share,
        }
    }

    fn share(self, value: f64) -> f64 {
        match self {
            Self::Log => value.exp_m1(),
            Self::Share => value,
        }
    }
}

/// The band of changes that count as none: from `-share` to `+share`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    share: f64,
}

impl Threshold {
    /// A share of the baseline, from 0 to less than 1.
    pub fn new(share: f64) -> Self {
        Self { share }
    }
}

/// The band on the scale of a change.
struct Band {
    below: f64,
    above: f64,
}

impl PairedChange {
    /// Of `(baseline, new)` values, a pair a pass and a list a unit. `None` for fewer than two units, or where a value is not
    /// positive and finite.
    pub fn of(units: &[Vec<(f64, f64)>], stopping: Stopping) -> Option<Self> {
        let ratios = |unit: &Vec<(f64, f64)>| unit.iter().map(|(base, new)| new / base).collect();
        let ratios: Vec<Vec<f64>> = units.iter().map(ratios).collect();
        let logs = Means::of_logs(&ratios)?;
        let scale = Scale::Log;
        Some(Self { scale, units: logs.n, mean: logs.mean, standard_error: logs.standard_error?, stopping })
    }

    /// The same for values of which some may be 0: the mean of the new values over that of the baseline's, less 1, with the standard
    /// error of a ratio of means (Cochran, *Sampling Techniques*, 3rd ed. 1977, section 6.4), and Student's t with one degree of freedom
    /// less than there are units. Where all values are 0, the change is 0. `None` for fewer than two units, where a value is negative or
    /// not finite, and where the baseline's are all 0 and others are not: of nothing there is no share.
    pub fn of_means(units: &[Vec<(f64, f64)>], stopping: Stopping) -> Option<Self> {
        let wrong = |value: f64| !value.is_finite() || value < 0.0;
        if units.len() < 2 || units.iter().any(|u| u.is_empty() || u.iter().any(|(a, b)| wrong(*a) || wrong(*b))) {
            return None;
        }
        let n = units.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| {
            let of_unit = move |unit: &Vec<(f64, f64)>| unit.iter().map(of).sum::<f64>() / unit.len() as f64;
            (units.iter().map(of_unit).collect::<Vec<f64>>(), units.iter().map(of_unit).sum::<f64>() / n)
        };
        let ((bases, base), (news, new)) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let of = |mean: f64, standard_error: f64| Self {
            scale: Scale::Share,
            units: units.len(),
            mean,
            standard_error,
            stopping,
        };
        if base == 0.0 {
            return (new == 0.0).then(|| of(0.0, 0.0));
        }
        let ratio = new / base;
        let squares = bases.iter().zip(&news).map(|(base, new)| (new - ratio * base).powi(2)).sum::<f64>();
        Some(of(ratio - 1.0, (squares / (n - 1.0) / n).sqrt() / base))
    }

    /// The estimate: the geometric mean of the ratios, or the ratio of the means, less 1.
    pub fn change(&self) -> f64 {
        self.scale.share(self.mean)
    }

    fn band(&self, threshold: Threshold) -> Band {
        Band { below: self.scale.of(-threshold.share), above: self.scale.of(threshold.share) }
    }

    /// Its confidence interval.
    pub fn interval(&self, confidence_level: f64) -> (f64, f64) {
        let half = self.stopping.reach(self.units, confidence_level) * self.standard_error;
        // Nothing falls by more than all of it.
        (self.scale.share(self.mean - half).max(-1.0), self.scale.share(self.mean + half))
    }

    /// Two-sided p-value of the hypothesis that the change lies within the threshold. It is below 1 − level exactly where the
    /// interval of that level lies beyond the threshold, and for a threshold of 0 it is that of the paired t test.
    pub fn p_beyond(&self, threshold: Threshold) -> f64 {
        let threshold = self.band(threshold);
        self.p_value(self.mean - threshold.above).min(self.p_value(threshold.below - self.mean))
    }

    /// p-value of the hypothesis that the change lies beyond the threshold: two one-sided tests (Schuirmann 1987), doubled
    /// so that it is below 1 − level exactly where the interval of that level lies inside the threshold.
    pub fn p_within(&self, threshold: Threshold) -> f64 {
        let threshold = self.band(threshold);
        self.p_value(threshold.above - self.mean).max(self.p_value(self.mean - threshold.below))
    }

    /// The change that would be found beyond the threshold four times of five, with so many passes and such noise: the power
    /// of the one-sample t test, by the noncentral t distribution.
    pub fn detectable(&self, threshold: Threshold, significance_level: f64) -> f64 {
        let critical = self.stopping.reach(self.units, 1.0 - significance_level);
        if critical.is_infinite() {
            return f64::INFINITY;
        }
        let reach = noncentrality((self.units - 1) as f64, critical);
        self.scale.share(self.band(threshold).above + reach * self.standard_error)
    }

    /// How many units would bring the interval wholly beyond one threshold or wholly inside another, narrower one, if the
    /// change and the noise stay what they are; `None` where no number up to 1,000 would, and none ever would for a change
    /// that lies between the two. Without `within`, only what lies beyond counts.
    pub fn units_needed(&self, beyond: Threshold, within: Option<Threshold>, significance_level: f64) -> Option<usize> {
        let beyond = self.band(beyond);
        let outside = (self.mean - beyond.above).max(beyond.below - self.mean);
        let inside =
            within.map(|within| self.band(within)).map(|band| (band.above - self.mean).min(self.mean - band.below));
        let distance = inside.map_or(outside, |inside| outside.max(inside));
        (2..=MOST_UNITS).find(|&n| self.half_width(n, 1.0 - significance_level) < distance)
    }

    /// The change, as a share, that so many units would tell from none, with this noise.
    pub fn resolution(&self, units: usize, confidence_level: f64) -> f64 {
        self.scale.share(self.half_width(units, confidence_level))
    }

    /// Half of the interval that so many units would have with this noise.
    fn half_width(&self, units: usize, confidence_level: f64) -> f64 {
        let deviation = self.standard_error * (self.units as f64).sqrt();
        self.stopping.reach(units, confidence_level) * deviation / (units as f64).sqrt()
    }

    /// Of a mean that lies so far beyond a bound. A change without any noise may lie infinitely many standard errors beyond it, or,
    /// on the very edge, none that is a number.
    fn p_value(&self, beyond: f64) -> f64 {
        self.stopping.p_value(beyond / self.standard_error, self.units)
    }
}

/// The noncentrality at which a t statistic exceeds a critical value with the power of [`POWER`].
///
/// t is (Z + δ) / S, with Z standard normal and S² a chi-square over its degrees of freedom ν. Given S = s, the power is
/// Φ(δ − s·critical), which is integrated over the density of S by Simpson's rule.
fn noncentrality(degrees_of_freedom: f64, critical: f64) -> f64 {
    const STEPS: usize = 400;
    let nu = degrees_of_freedom;
    let ln_constant = std::f64::consts::LN_2 + nu / 2.0 * (nu / 2.0).ln() - ln_gamma(nu / 2.0);
    let density = |s: f64| match s {
        0.0 if nu == 1.0 => ln_constant.exp(),
        0.0 => 0.0,
        s => (ln_constant + (nu - 1.0) * s.ln() - nu * s * s / 2.0).exp(),
    };
    // Beyond this, less than 1e-10 of the distribution is left.
    let most = 1.0 + 6.5 / nu.sqrt();
    let step = most / STEPS as f64;
    let weighted = |i: usize| {
        let weight = if i == 0 || i == STEPS { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
        let s = i as f64 * step;
        (s, weight * density(s) * step / 3.0)
    };
    let weights: Vec<(f64, f64)> = (0..=STEPS).map(weighted).collect();
    let normal_below = |x: f64| 0.5 * erfc(-x / std::f64::consts::SQRT_2);
    let power = |delta: f64| weights.iter().map(|(s, weight)| weight * normal_below(delta - s * critical)).sum::<f64>();
    let (mut low, mut high) = (0.0, critical * most + 10.0);
    // To twelve digits.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if power(middle) < POWER { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root of scipy 1.17's `nct.sf(critical, nu, delta) = 0.8`.
    #[test]
    fn noncentralities_are_scipys() {
        let table = [
            (1.0, 12.706204736174694, 16.33400886992093),
            (2.0, 4.302652729749462, 5.653489266405565),
            (4.0, 2.7764451051977934, 3.7610602610043022),
            (9.0, 2.262157162798205, 3.1496356782722197),
            (29.0, 2.045229642132703, 2.89874629513031),
            (120.0, 1.9799304050824402, 2.8242560213412444),
        ];
        for (nu, critical, expected) in table {
            let got = noncentrality(nu, critical);
            assert!((got / expected - 1.0).abs() < 1e-6, "{nu}: {got}, not {expected}");
        }
    }

    /// Of two processes, of which one had twice the passes: (2, 1) and (2, 4) on average.
    #[test]
    fn a_unit_counts_once_however_many_passes_it_has() {
        let units = [vec![(1.0, 2.0), (3.0, 0.0)], vec![(2.0, 4.0)]];
        let change = PairedChange::of_means(&units, Stopping::Planned).unwrap();
        assert!((change.change() - 0.25).abs() < 1e-12, "{change:?}");
        // Residuals of −1.5 and 1.5: their deviation is 1.5 · √2, and its share of 2 a unit.
        assert!((change.standard_error - 1.5 / 2.0).abs() < 1e-12, "{change:?}");
    }
}
