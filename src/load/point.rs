use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use super::{
    closed,
    recorded::Recorded,
    shape::{Kind, Pacing, Schedule, Shape},
};
use crate::dataset::Sequence;

/// The shapes there are.
static KINDS: &[Kind] = &[super::closed::KIND, super::recorded::KIND, super::open::KIND];

/// How the prompts of a workload are sent: with it, a workload is a benchmark. `load` of report.json.
#[derive(Clone)]
pub struct LoadPoint(Arc<dyn Shape>);

impl LoadPoint {
    /// Of any shape, also one of one's own.
    pub fn new(shape: impl Shape + 'static) -> Self {
        Self(Arc::new(shape))
    }

    /// So many clients, each sending the next prompt as soon as its last one ended.
    pub fn closed(concurrency: usize) -> Self {
        Self::new(closed::Closed { concurrency })
    }

    /// Each prompt at its recorded time.
    pub fn recorded(pacing: &Pacing) -> Self {
        Self::new(Recorded::paced(pacing.time_scale, pacing))
    }

    /// As `--load` names it, the same as a benchmark's name ends with: `c64`, `r10`.
    ///
    /// # Errors
    /// Where no shape is named so; with the ways to write one.
    pub fn parse(text: &str, pacing: &Pacing) -> Result<Self, String> {
        let read = KINDS.iter().find_map(|kind| (kind.parse)(text, pacing));
        let none = || Err(format!("`{text}` is no load: write {}", Self::spellings()));
        read.unwrap_or_else(none).map(Self)
    }

    /// How the shapes are written, for help.
    pub fn spellings() -> String {
        KINDS.iter().map(|kind| kind.spelling).collect::<Vec<_>>().join(", or ")
    }

    /// The same for a run that is only to show that it works.
    #[must_use]
    pub fn tiny(&self) -> Self {
        Self(self.0.tiny())
    }

    /// When each of so many conversations begins in the pass with this seed; they are the first of these, and those again where more begin.
    pub fn schedule(&self, begun: usize, prompts: &Sequence, seed: u64) -> Schedule {
        self.0.schedule(begun, prompts, seed)
    }

    /// What else the shape says.
    pub fn shape(&self) -> &dyn Shape {
        &*self.0
    }
}

impl fmt::Display for LoadPoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LoadPoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// By what report.json says.
impl PartialEq for LoadPoint {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_json() == other.0.to_json()
    }
}

impl Serialize for LoadPoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LoadPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let name = value["kind"].as_str().unwrap_or_default();
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| D::Error::custom(format!("`{name}` is a kind of load that is not known")))?;
        (kind.read)(value).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Arrival;

    /// Names and reports read back, and say what they said when report.json was laid down.
    #[test]
    fn points_are_read_back() {
        let pacing =
            Pacing { arrival: Arrival::Gamma, burstiness: 0.5, max_in_flight: Some(9), time_scale: 1.0, spread: true };
        let open = r#"{"kind":"open","request_rate":2.5,"arrival":"gamma","burstiness":0.5,"max_in_flight":9}"#;
        let at_once = r#"{"kind":"open","request_rate":"inf","arrival":"gamma","burstiness":0.5,"max_in_flight":9}"#;
        let closed = r#"{"kind":"closed","concurrency":64}"#;
        let recorded = r#"{"kind":"recorded","time_scale":1.0,"spread":true,"max_in_flight":9}"#;
        let half = r#"{"kind":"recorded","time_scale":0.5,"spread":true,"max_in_flight":9}"#;
        let table =
            [("c64", closed), ("r2.5", open), ("rinf", at_once), ("recorded", recorded), ("recorded-t0.5", half)];
        for (name, json) in table {
            let point = LoadPoint::parse(name, &pacing).unwrap();
            assert_eq!(point.shape().name(), name);
            assert_eq!(serde_json::to_string(&point).unwrap(), json);
            assert_eq!(serde_json::from_str::<LoadPoint>(json).unwrap(), point);
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let pacing =
            Pacing { arrival: Arrival::Poisson, burstiness: 1.0, max_in_flight: None, time_scale: 1.0, spread: false };
        let table = [
            ("64", "`64` is no load: write cN"),
            ("c0", "0 clients would send nothing"),
            ("cx", "`cx` is no load"),
            ("r-1", "expected requests per second"),
            ("recorded-t0", "`0` is no factor above 0"),
            ("recorded-x", "`recorded-x` is no load"),
            ("", "`` is no load"),
        ];
        for (text, expected) in table {
            let why = LoadPoint::parse(text, &pacing).unwrap_err();
            assert!(why.starts_with(expected), "{text}: {why}");
        }
        for json in [r#"{"kind":"spiral"}"#, r#"{"concurrency":1}"#, r#"{"kind":"closed","concurrency":-1}"#] {
            assert!(serde_json::from_str::<LoadPoint>(json).is_err(), "{json}");
        }
    }
}
