use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{LoadPoint, Open, Pacing, RequestRate};

/// What a search finds the most of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Searched {
    /// Requests per second of an open loop.
    Rate,
    /// Clients of a closed loop.
    Concurrency,
}

impl Searched {
    /// The load point of so much of it.
    pub fn at(self, load: f64, pacing: &Pacing) -> LoadPoint {
        let Pacing { arrival, burstiness, max_in_flight, .. } = *pacing;
        match self {
            Self::Rate => LoadPoint::new(Open { request_rate: RequestRate(load), arrival, burstiness, max_in_flight }),
            Self::Concurrency => LoadPoint::closed(load as usize),
        }
    }

    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::Concurrency => "clients",
        }
    }

    /// The flag that sets it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Rate => "--request-rate",
            Self::Concurrency => "--concurrency",
        }
    }
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
        })
    }
}

impl FromStr for Searched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Rate, Self::Concurrency];
        let found = all.into_iter().find(|searched| searched.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is neither rate nor concurrency"))
    }
}
