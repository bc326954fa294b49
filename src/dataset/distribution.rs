//! A number, or a distribution that a seed draws numbers from: `512`, `uniform(64,256)`, `normal(512,64)`, `lognormal(512,0.6,4096)`.

use std::{fmt, str::FromStr};

use rand::{RngExt, rngs::ChaCha8Rng};

/// What numbers are drawn from. Nothing drawn is more than `most`, where there is one: what would be is `most` itself.
///
/// Logarithm, exponential and cosine are those of the libm crate, so that a seed draws the same numbers on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Each number between the two is as likely.
    Uniform {
        /// The least.
        least: f64,
        /// The most.
        most: f64,
    },
    /// The normal distribution.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        deviation: f64,
        /// Nothing is more.
        most: f64,
    },
    /// The log-normal distribution: its logarithm is normal.
    LogNormal {
        /// Half of all are less; the mean is exp(`sigma`² / 2) times as much.
        median: f64,
        /// The standard deviation of the natural logarithm.
        sigma: f64,
        /// Nothing is more.
        most: f64,
    },
    /// The exponential distribution: gaps between events that know nothing of each other.
    Exponential {
        /// Its mean.
        mean: f64,
        /// Nothing is more.
        most: f64,
    },
}

impl Distribution {
    /// Draws one. A constant takes nothing from the generator.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Uniform { least, most } => least + (most - least) * rng.random::<f64>(),
            Self::Normal { mean, deviation, most } => (mean + deviation * normal(rng)).min(most),
            Self::LogNormal { median, sigma, most } => (median * libm::exp(sigma * normal(rng))).min(most),
            Self::Exponential { mean, most } => (-mean * libm::log(1.0 - rng.random::<f64>())).min(most),
        }
    }

    /// Draws a whole number of at least 1: to the nearest, and of a uniform distribution each with the same chance.
    pub fn draw_count(&self, rng: &mut ChaCha8Rng) -> u32 {
        match *self {
            Self::Uniform { least, most } => rng.random_range(least.round() as u32..=most.round() as u32).max(1),
            _ => self.draw(rng).round().max(1.0) as u32,
        }
    }
}

/// By Box and Muller (Annals of Mathematical Statistics 29, 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    libm::sqrt(-2.0 * libm::log(u)) * libm::cos(std::f64::consts::TAU * v)
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (name, arguments) = match *self {
            Self::Constant(value) => return value.fmt(f),
            Self::Uniform { least, most } => ("uniform", [least, most, f64::INFINITY]),
            Self::Normal { mean, deviation, most } => ("normal", [mean, deviation, most]),
            Self::LogNormal { median, sigma, most } => ("lognormal", [median, sigma, most]),
            Self::Exponential { mean, most } => ("exponential", [mean, most, f64::INFINITY]),
        };
        let arguments: Vec<String> = arguments.iter().filter(|a| a.is_finite()).map(ToString::to_string).collect();
        write!(f, "{name}({})", arguments.join(","))
    }
}

impl FromStr for Distribution {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let ways = "a number, uniform(LEAST,MOST), normal(MEAN,DEVIATION), lognormal(MEDIAN,SIGMA) or exponential(MEAN), the last three with \
                    an optional upper limit as their last number";
        let wrong = || format!("`{text}` is not {ways}");
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let Some((name, arguments)) = text.split_once('(') else {
            return number(text).map(Self::Constant).ok_or_else(wrong);
        };
        let arguments = arguments.strip_suffix(')').ok_or_else(wrong)?;
        let arguments: Vec<f64> =
            arguments.split(',').map(|a| number(a).ok_or_else(wrong)).collect::<Result<_, _>>()?;
        let most = |place: usize| arguments.get(place).copied().unwrap_or(f64::INFINITY);
        let read = match (name.trim(), arguments.as_slice()) {
            ("uniform", &[least, most]) if least <= most => Self::Uniform { least, most },
            ("normal", &[mean, deviation] | &[mean, deviation, _]) => Self::Normal { mean, deviation, most: most(2) },
            ("lognormal", &[median, sigma] | &[median, sigma, _]) if median > 0.0 => {
                Self::LogNormal { median, sigma, most: most(2) }
            }
            ("exponential", &[mean] | &[mean, _]) => Self::Exponential { mean, most: most(1) },
            _ => return Err(wrong()),
        };
        Ok(read)
    }
}

/// A number of tokens: of at least 1, and of no more than any model has room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lengths(Distribution);

/// More tokens than this in a text are a mistake: what is drawn from a long tail stops here, too.
const MOST_TOKENS: f64 = 10_000_000.0;

impl Lengths {
    /// Draws one.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        self.0.draw_count(rng).min(MOST_TOKENS as u32)
    }

    /// As a benchmark's name may have it.
    pub fn name(&self) -> String {
        self.to_string().replace(['(', ','], "-").replace(')', "")
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Lengths {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let lengths: Distribution = text.parse()?;
        let (least, is_whole) = match lengths {
            Distribution::Constant(tokens) => (tokens, tokens.fract() == 0.0),
            Distribution::Uniform { least, most } => {
                (least, least.fract() == 0.0 && most.fract() == 0.0 && most <= MOST_TOKENS)
            }
            Distribution::Normal { mean, most, .. } => (mean.min(most), true),
            Distribution::LogNormal { median, most, .. } => (median.min(most), true),
            Distribution::Exponential { mean, most } => (mean.min(most), true),
        };
        if !(1.0..=MOST_TOKENS).contains(&least) || !is_whole {
            return Err(format!("`{text}` is no number of tokens from 1 to {MOST_TOKENS}"));
        }
        Ok(Self(lengths))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn drawn(text: &str, n: usize) -> Vec<f64> {
        let (mut rng, distribution) = (ChaCha8Rng::seed_from_u64(1), text.parse::<Distribution>().unwrap());
        (0..n).map(|_| distribution.draw(&mut rng)).collect()
    }

    #[test]
    fn they_print_as_they_are_written() {
        for text in [
            "512",
            "0.5",
            "uniform(64,256)",
            "normal(512,64)",
            "normal(512,64,600)",
            "lognormal(512,0.6)",
            "lognormal(512,0.6,4096)",
            "exponential(2)",
            "exponential(2,10)",
        ] {
            assert_eq!(text.parse::<Distribution>().unwrap().to_string(), text);
        }
        assert_eq!("normal( 512, 64 )".parse::<Distribution>().unwrap().to_string(), "normal(512,64)");
        for wrong in [
            "",
            "x",
            "-1",
            "nan",
            "uniform(2,1)",
            "uniform(1)",
            "normal(1)",
            "normal(1,2,3,4)",
            "lognormal(0,1)",
            "zipf(2)",
            "normal(1,2",
        ] {
            let error = wrong.parse::<Distribution>().unwrap_err();
            assert!(error.starts_with(&format!("`{wrong}` is not a number, uniform(LEAST,MOST)")), "{error}");
        }
    }

    /// Moments against those of the distributions, within five standard errors.
    #[test]
    fn what_is_drawn_has_the_moments_that_were_asked_for() {
        const N: usize = 100_000;
        let log_normal = (0.5f64.powi(2) / 2.0).exp();
        for (text, mean, deviation) in [
            ("uniform(64,256)", 160.0, 192.0 / 12f64.sqrt()),
            ("normal(512,64)", 512.0, 64.0),
            ("lognormal(100,0.5)", 100.0 * log_normal, 100.0 * log_normal * (0.25f64.exp() - 1.0).sqrt()),
            ("exponential(2)", 2.0, 2.0),
        ] {
            let drawn = drawn(text, N);
            let got = drawn.iter().sum::<f64>() / N as f64;
            assert!((got - mean).abs() < 5.0 * deviation / (N as f64).sqrt(), "{text}: {got}");
            let variance = drawn.iter().map(|x| (x - got).powi(2)).sum::<f64>() / (N - 1) as f64;
            assert!((variance.sqrt() / deviation - 1.0).abs() < 0.03, "{text}: {}", variance.sqrt());
        }
        assert!(drawn("lognormal(100,2,150)", 1000).iter().all(|x| *x <= 150.0));
        assert!(drawn("normal(100,50,150)", 1000).contains(&150.0));
        // Every whole number of a uniform distribution is as likely, both ends too.
        let (mut rng, uniform) = (ChaCha8Rng::seed_from_u64(1), "uniform(1,4)".parse::<Lengths>().unwrap());
        let mut counts = [0; 5];
        (0..40_000).for_each(|_| counts[uniform.draw(&mut rng) as usize] += 1);
        assert!(counts[0] == 0 && counts[1..].iter().all(|n: &i32| (n - 10_000).abs() < 450), "{counts:?}");
    }

    #[test]
    fn lengths_are_whole_and_above_0() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let low: Lengths = "normal(2,5)".parse().unwrap();
        assert!((0..1000).map(|_| low.draw(&mut rng)).all(|tokens| tokens >= 1));
        assert_eq!("lognormal(512,0.6,4096)".parse::<Lengths>().unwrap().name(), "lognormal-512-0.6-4096");
        for wrong in ["0", "1.5", "uniform(0,5)", "uniform(1.5,5)", "normal(0,5)", "1e9", "exponential(0.5)"] {
            let error = wrong.parse::<Lengths>().unwrap_err();
            assert_eq!(error, format!("`{wrong}` is no number of tokens from 1 to 10000000"));
        }
    }

    /// A seed draws these on every machine.
    #[test]
    fn a_seed_draws_the_same_everywhere() {
        let bits = |text: &str| drawn(text, 2).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let found = ["uniform(0,1)", "normal(0,1)", "lognormal(1,1)", "exponential(1)"].map(bits);
        assert_eq!(
            found,
            [
                [4_600_922_157_057_517_826, 4_590_456_677_328_490_120],
                [4_606_174_990_331_787_498, 4_598_320_954_113_394_175],
                [4_612_655_724_603_544_985, 4_608_508_527_024_059_922],
                [4_602_813_720_010_278_280, 4_590_702_758_474_864_134],
            ]
        );
    }
}
