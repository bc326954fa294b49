//! What an interval costs where it is looked at again and again.

use super::student::{t_above, t_quantile};

/// How the number of passes came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stopping {
    /// It was fixed before the first one: Student's t.
    #[default]
    Planned,
    /// After each one it was looked whether there are enough: a confidence sequence, whose intervals hold at all looks together, and
    /// whenever one stops (Wang and Ramdas, *Anytime-valid t-tests and confidence sequences for Gaussian means with unknown
    /// variance*, Sequential Analysis 44, 2025; the idea is Lai's, Annals of Statistics 4, 1976).
    Sequential,
}

/// Variance of the normal prior of the effect, in standard deviations of a unit: what differs by some of them is found soonest. The
/// intervals hold whatever it is.
const PRIOR: f64 = 4.0;

impl Stopping {
    /// Of a run whose passes went on until a change of that size was settled, or of one whose number of passes was fixed.
    pub fn of(resolve: Option<f64>) -> Self {
        if resolve.is_some() { Self::Sequential } else { Self::Planned }
    }

    /// How many standard errors the interval of `n` units reaches to either side.
    pub fn reach(self, n: usize, confidence_level: f64) -> f64 {
        let (n, nu) = (n as f64, n as f64 - 1.0);
        match self {
            Self::Planned => t_quantile(0.5 + confidence_level / 2.0, nu),
            // Where the Bayes factor below is 1 over what is left of the level.
            Self::Sequential => {
                let gain = 1.0 + n * PRIOR;
                let factor = (gain.sqrt() / (1.0 - confidence_level)).powf(2.0 / n);
                if factor < gain { (nu * (factor - 1.0) / (1.0 - factor / gain)).sqrt() } else { f64::INFINITY }
            }
        }
    }

    /// Two-sided p-value of a mean of `n` units that lies `t` standard errors beyond a bound; 1 where it does not lie beyond.
    pub fn p_value(self, t: f64, n: usize) -> f64 {
        if t.is_nan() || t <= 0.0 {
            return 1.0;
        }
        let (n, nu) = (n as f64, n as f64 - 1.0);
        match self {
            Self::Planned => (2.0 * t_above(t, nu)).min(1.0),
            Self::Sequential => {
                let gain = 1.0 + n * PRIOR;
                // Of no effect against a normally distributed one, with Jeffreys' prior of the deviation (Gönen et al., The American
                // Statistician 59, 2005).
                let ratio = if t.is_infinite() { gain } else { (1.0 + t * t / nu) / (1.0 + t * t / (nu * gain)) };
                (0.5 * gain.ln() - n / 2.0 * ratio.ln()).exp().min(1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_p_values_agree() {
        for stopping in [Stopping::Planned, Stopping::Sequential] {
            for (n, level) in [(4, 0.9), (5, 0.95), (8, 0.95), (8, 0.975), (30, 0.99)] {
                let reach = stopping.reach(n, level);
                assert!((stopping.p_value(reach, n) - (1.0 - level)).abs() < 1e-9, "{stopping:?} {n} {level} {reach}");
            }
            assert_eq!((stopping.p_value(f64::NAN, 3), stopping.p_value(-1.0, 3)), (1.0, 1.0));
        }
    }

    /// Too few units say nothing, whatever they show.
    #[test]
    fn a_sequence_begins_with_the_fourth_unit() {
        let reach = |n| Stopping::Sequential.reach(n, 0.95);
        assert_eq!((reach(2), reach(3)), (f64::INFINITY, f64::INFINITY));
        assert!((7.0..7.5).contains(&reach(4)) && (4.1..4.3).contains(&reach(8)), "{} {}", reach(4), reach(8));
        assert_eq!(Stopping::Planned.p_value(f64::INFINITY, 2), 0.0);
        assert!((Stopping::Sequential.p_value(f64::INFINITY, 3) - 1.0 / 13.0).abs() < 1e-12);
    }
}
