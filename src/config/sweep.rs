//! Sweeps: several loads, one after another, from little to much.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

use crate::load::{Pacing, Searched};

/// A load, or a range that stands for several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loads<T> {
    /// This one.
    One(T),
    /// The loads of a sweep.
    Sweep(SweepRange),
}

/// Which loads a sweep has: `sweep:8`, `sweep:1..256`, `sweep:1..256:12`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepRange {
    pub(crate) ends: Option<(f64, f64)>,
    pub(crate) points: Option<usize>,
}

/// Loads to be measured one after another, until more load only makes requests wait.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sweep {
    /// Of what.
    pub swept: Searched,
    /// Which ones.
    pub range: SweepRange,
    /// What the loads of an open loop have in common.
    pub pacing: Pacing,
}

const PREFIX: &str = "sweep:";
/// More clients are no sweep.
pub(crate) const MOST_CLIENTS: f64 = 65_536.0;
/// Rates, where their number is not given.
pub(crate) const USUAL_RATES: usize = 8;
const MOST_POINTS: usize = 100;

impl SweepRange {
    /// So many loads, between ends that are found: one client, and as much as the server can do.
    pub fn of(points: usize) -> Self {
        Self { ends: None, points: Some(points) }
    }

    /// From a load to another: doubled clients, or eight rates.
    pub fn between(low: f64, high: f64) -> Self {
        Self { ends: Some((low, high)), points: None }
    }

    /// So many of them.
    #[must_use]
    pub fn points(self, points: usize) -> Self {
        Self { points: Some(points), ..self }
    }

    /// How many loads there are, at most.
    pub(super) fn most(self) -> usize {
        let doublings = |(low, high): (f64, f64)| (high / low).log2().ceil() as usize + 1;
        self.points.unwrap_or_else(|| self.ends.map_or(USUAL_RATES, doublings)).max(1)
    }

    pub(super) fn check(self) -> Result<Self, String> {
        match (self.ends, self.points) {
            (Some((low, high)), _) if !(low > 0.0 && low < high && high.is_finite()) => {
                Err(format!("`{self}`: the first load must be above 0, and the last one above the first"))
            }
            (_, Some(points)) if !(2..=MOST_POINTS).contains(&points) => {
                Err(format!("`{self}`: a sweep has 2 to {MOST_POINTS} loads"))
            }
            _ => Ok(self),
        }
    }
}

impl fmt::Display for SweepRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(PREFIX)?;
        match (self.ends, self.points) {
            (Some((low, high)), Some(points)) => write!(f, "{low}..{high}:{points}"),
            (Some((low, high)), None) => write!(f, "{low}..{high}"),
            (None, points) => write!(f, "{}", points.unwrap_or(USUAL_RATES)),
        }
    }
}

impl FromStr for SweepRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text)?.check()
    }
}

impl SweepRange {
    fn read(text: &str) -> Result<Self, String> {
        let error =
            || format!("`{text}` is not a sweep: write sweep:8 for eight loads, sweep:1..256, or sweep:1..256:12");
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| error());
        let count = |text: &str| text.trim().parse::<usize>().map_err(|_| error());
        let range = text.strip_prefix(PREFIX).ok_or_else(error)?;
        Ok(match range.split_once("..") {
            None => Self::of(count(range)?),
            Some((low, rest)) => match rest.split_once(':') {
                None => Self::between(number(low)?, number(rest)?),
                Some((high, points)) => Self::between(number(low)?, number(high)?).points(count(points)?),
            },
        })
    }
}

impl<T> Loads<T> {
    /// The load, where it is a single one.
    pub(super) fn one(&self) -> Option<&T> {
        match self {
            Self::One(load) => Some(load),
            Self::Sweep(_) => None,
        }
    }

    /// The range, where it is one.
    pub(super) fn range(&self) -> Option<SweepRange> {
        match self {
            Self::One(_) => None,
            Self::Sweep(range) => Some(*range),
        }
    }
}

impl<T: FromStr<Err: fmt::Display>> FromStr for Loads<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.starts_with(PREFIX) {
            true => text.parse().map(Self::Sweep),
            false => text.parse().map(Self::One).map_err(|why: T::Err| why.to_string()),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrText<T> {
    One(T),
    Text(String),
}

/// Whether a range makes sense is checked when the layers are together, where its place can be told.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loads<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match OneOrText::deserialize(deserializer)? {
            OneOrText::One(load) => Ok(Self::One(load)),
            OneOrText::Text(text) => SweepRange::read(&text).map(Self::Sweep).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::RequestRate;

    #[test]
    fn ranges_are_read_and_written() {
        for text in ["sweep:8", "sweep:1..256", "sweep:0.5..32:12"] {
            assert_eq!(text.parse::<SweepRange>().map(|range| range.to_string()), Ok(text.to_owned()));
        }
        for (text, expected) in [
            ("sweep:", "`sweep:` is not a sweep: write sweep:8"),
            ("sweep:x..9", "`sweep:x..9` is not a sweep"),
            ("sweep:1..9:x", "`sweep:1..9:x` is not a sweep"),
            ("sweep:9..1", "`sweep:9..1`: the first load must be above 0, and the last one above the first"),
            ("sweep:0..9", "`sweep:0..9`: the first load must be above 0"),
            ("sweep:1..inf", "`sweep:1..inf`: the first load"),
            ("sweep:1", "`sweep:1`: a sweep has 2 to 100 loads"),
            ("sweep:1..2:101", "`sweep:1..2:101`: a sweep has 2 to 100 loads"),
        ] {
            let why = text.parse::<SweepRange>().unwrap_err();
            assert!(why.starts_with(expected), "{text}: {why}");
        }
    }

    #[test]
    fn loads_are_numbers_or_ranges() {
        let range = SweepRange::between(1.0, 8.0);
        assert_eq!("7".parse(), Ok(Loads::One(7_usize)));
        assert_eq!("sweep:1..8".parse::<Loads<usize>>(), Ok(Loads::Sweep(range)));
        assert_eq!("inf".parse(), Ok(Loads::One(RequestRate(f64::INFINITY))));
        assert_eq!("x".parse::<Loads<usize>>(), Err("invalid digit found in string".to_owned()));
        let read = |json: &str| serde_json::from_str::<Loads<usize>>(json);
        assert_eq!((read("7").unwrap(), read("\"sweep:1..8\"").unwrap()), (Loads::One(7), Loads::Sweep(range)));
        assert!(["7.5", "-1", "true", "\"7\"", "\"sweep:x\""].iter().all(|json| read(json).is_err()));
    }
}
