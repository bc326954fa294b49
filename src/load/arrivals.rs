//! When the requests of an open loop are to be sent: computed before the pass, from the seed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::dataset::PythonRandom;

/// How the gaps between arrivals are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "harness", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// All gaps alike.
    Constant,
    /// Exponential gaps: arrivals that know nothing of one another.
    #[default]
    Poisson,
    /// Gamma-distributed gaps, of a shape that is the burstiness: 1 is Poisson, less is burstier, more is more even. Their
    /// coefficient of variation is 1/√shape.
    Gamma,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
            Self::Gamma => "gamma",
        })
    }
}

/// Requests per second; infinite for all at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestRate(pub f64);

impl FromStr for RequestRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(rate) if rate > 0.0 => Ok(Self(rate)),
            _ => Err("expected requests per second, a number above 0, or inf".to_owned()),
        }
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// In JSON the infinite rate, which JSON lacks, is `"inf"`.
impl Serialize for RequestRate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.serialize_str("inf") }
    }
}

impl<'de> Deserialize<'de> for RequestRate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum NumberOrText {
            Number(f64),
            Text(String),
        }
        let text = match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The arrival of each of `n` requests, in nanoseconds from the first, which is 0.
///
/// The gaps are those that CPython's `random.Random(seed)` gives by `expovariate` and `gammavariate`, whose streams have not
/// changed since Python 3.2; they are scaled so that the `n - 1` of them last exactly `(n - 1) / rate`. The requested rate is
/// thereby what the schedule has, rather than what a sample of it happens to have.
pub fn arrivals_ns(rate: RequestRate, arrival: Arrival, burstiness: f64, n: usize, seed: u64) -> Vec<u64> {
    if rate.0.is_infinite() {
        return vec![0; n];
    }
    let mut rng = PythonRandom::new(seed);
    let mut gap = || match arrival {
        Arrival::Constant => 1.0,
        Arrival::Poisson => -(1.0 - rng.random()).ln(),
        Arrival::Gamma => gamma(&mut rng, burstiness),
    };
    let mut at = 0.0;
    let mut times = vec![0.0];
    times.extend((1..n).map(|_| {
        at += gap();
        at
    }));
    times.truncate(n);
    let scale = if at > 0.0 { n.saturating_sub(1) as f64 / rate.0 / at * 1e9 } else { 0.0 };
    times.into_iter().map(|time| (time * scale).round() as u64).collect()
}

/// CPython's `gammavariate(shape, 1)`: Cheng (1977) for a shape above 1, algorithm GS of Ahrens and Dieter (1974) below it.
fn gamma(rng: &mut PythonRandom, shape: f64) -> f64 {
    if shape == 1.0 {
        return -(1.0 - rng.random()).ln();
    }
    if shape > 1.0 {
        let a = (2.0 * shape - 1.0).sqrt();
        let (b, c) = (shape - 4f64.ln(), shape + a);
        loop {
            let u = rng.random();
            if !(1e-7..0.9999999).contains(&u) {
                continue;
            }
            let w = 1.0 - rng.random();
            let v = (u / (1.0 - u)).ln() / a;
            let x = shape * v.exp();
            let z = u * u * w;
            // The quick test that CPython makes before this one only spares logarithms.
            if b + c * v - x >= z.ln() {
                return x;
            }
        }
    }
    let e = std::f64::consts::E;
    let b = (e + shape) / e;
    loop {
        let p = b * rng.random();
        let x = if p <= 1.0 { p.powf(1.0 / shape) } else { -((b - p) / shape).ln() };
        let u = rng.random();
        if (p > 1.0 && u <= x.powf(shape - 1.0)) || (p <= 1.0 && u <= (-x).exp()) {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_names_of_the_command_line() {
        let names = [Arrival::Constant, Arrival::Poisson, Arrival::Gamma].map(|arrival| arrival.to_string());
        assert_eq!(names, ["constant", "poisson", "gamma"]);
    }

    /// Expected by CPython: from itertools.accumulate over random.Random(7).expovariate(1), …, scaled to 3 gaps at 10 a second.
    #[test]
    fn arrivals_are_cpythons() {
        let of = |arrival, burstiness| arrivals_ns(RequestRate(10.0), arrival, burstiness, 4, 7);
        assert_eq!(of(Arrival::Constant, 1.0), [0, 100_000_000, 200_000_000, 300_000_000]);
        assert_eq!(of(Arrival::Poisson, 1.0), GOLDEN[0]);
        assert_eq!(of(Arrival::Gamma, 1.0), GOLDEN[0]);
        assert_eq!(of(Arrival::Gamma, 0.3), GOLDEN[1]);
        assert_eq!(of(Arrival::Gamma, 4.0), GOLDEN[2]);
        assert_eq!(arrivals_ns(RequestRate(f64::INFINITY), Arrival::Poisson, 1.0, 3, 7), [0, 0, 0]);
        assert_eq!(arrivals_ns(RequestRate(10.0), Arrival::Poisson, 1.0, 1, 7), [0]);
    }

    const GOLDEN: [[u64; 4]; 3] = [
        [0, 73_036_982, 103_556_894, 300_000_000],
        [0, 18_061_514, 203_191_068, 300_000_000],
        [0, 73_778_754, 197_108_489, 300_000_000],
    ];

    /// Expected by CPython: the sum of 1,000 values of random.Random(7).gammavariate(shape, 1).
    #[test]
    fn gamma_variates_are_cpythons() {
        for (shape, expected) in [(0.3, 267.29019545441935), (1.5, 1482.7604110061006), (4.0, 3913.0956153763063)] {
            let mut rng = PythonRandom::new(7);
            let sum: f64 = (0..1000).map(|_| gamma(&mut rng, shape)).sum();
            assert!((sum / expected - 1.0).abs() < 1e-12, "{shape}: {sum}");
        }
    }

    #[test]
    fn rates() {
        let read = |text: &str| text.parse::<RequestRate>().map(|rate| rate.to_string());
        for (text, shown) in [("20", "20"), ("0.5", "0.5"), ("inf", "inf"), ("1e3", "1000")] {
            assert_eq!(read(text), Ok(shown.to_owned()));
        }
        for bad in ["0", "-1", "-inf", "NaN", "", "fast"] {
            assert_eq!(read(bad), Err("expected requests per second, a number above 0, or inf".to_owned()), "{bad}");
        }
        for json in ["20.0", "\"inf\""] {
            let rate: RequestRate = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&rate).unwrap(), json);
        }
        assert!(serde_json::from_str::<RequestRate>("0").is_err());
    }

    /// Mean and coefficient of variation of 20,000 gaps at 500 a second.
    #[test]
    fn gaps_are_distributed_as_they_should_be() {
        let table = [
            (Arrival::Constant, 1.0, 0.0),
            (Arrival::Poisson, 1.0, 1.0),
            (Arrival::Gamma, 0.25, 2.0),
            (Arrival::Gamma, 4.0, 0.5),
        ];
        for (arrival, burstiness, expected) in table {
            let times = arrivals_ns(RequestRate(500.0), arrival, burstiness, 20_001, 3);
            assert!(times.is_sorted());
            let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
            assert!((mean / 2e6 - 1.0).abs() < 1e-6, "{arrival:?}: {mean}");
            assert!(
                (deviation / mean - expected).abs() < 0.03 * f64::max(expected, 1.0),
                "{arrival:?}: {}",
                deviation / mean
            );
        }
    }
}
