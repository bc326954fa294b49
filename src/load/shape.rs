use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Arrival, RequestRate, arrivals_ns};

/// How the prompts of a workload are sent: with it, a workload is a benchmark. `load` of report.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LoadPoint {
    /// So many clients, each sending the next prompt as soon as its last one ended.
    Closed {
        /// How many.
        concurrency: usize,
    },
    /// Each prompt at its time, whatever has become of the others.
    Open {
        /// Requests per second.
        request_rate: RequestRate,
        /// How the gaps between them are distributed.
        arrival: Arrival,
        /// Shape of gamma-distributed gaps.
        burstiness: f64,
        /// A request that would be one more than this in flight waits.
        max_in_flight: Option<usize>,
    },
}

/// When the prompts of one pass are sent: a load point, with the times that the seed of the pass decides.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// So many clients, each sending the next prompt as soon as its last one ended.
    Closed {
        /// How many.
        concurrency: usize,
    },
    /// Each at its time, whatever has become of the others.
    Open {
        /// For each prompt, in nanoseconds from the start of the pass.
        arrivals_ns: Arc<[u64]>,
        /// Connections to open before the start; more are opened when all of them are busy.
        connections: usize,
        /// A request that would be one more than this in flight waits for one of them to end.
        max_in_flight: Option<usize>,
    },
}

/// Requests that a small run sends at once, at most.
const TINY_CONCURRENCY: usize = 4;
/// Connections that an open loop opens before its start, at least and at most.
const CONNECTIONS: (usize, usize) = (64, 1024);

impl LoadPoint {
    /// The last part of a benchmark's name: `c64`, `r100`, `rinf`.
    pub fn name(&self) -> String {
        match self {
            Self::Closed { concurrency } => format!("c{concurrency}"),
            Self::Open { request_rate, .. } => format!("r{request_rate}"),
        }
    }

    /// The clients of a closed loop.
    pub fn concurrency(&self) -> Option<usize> {
        match self {
            Self::Closed { concurrency } => Some(*concurrency),
            Self::Open { .. } => None,
        }
    }

    /// Connections to open before `prompts` prompts are sent. For an open loop, those of a second's arrivals.
    pub fn connections(&self, prompts: usize) -> usize {
        match self {
            Self::Closed { concurrency } => *concurrency,
            Self::Open { request_rate, max_in_flight, .. } => {
                let (least, most) = CONNECTIONS;
                let second = request_rate.0.clamp(least as f64, most as f64) as usize;
                second.min(prompts).min(max_in_flight.unwrap_or(usize::MAX)).max(1)
            }
        }
    }

    /// When each of so many prompts is sent in the pass with this seed.
    pub fn schedule(&self, prompts: usize, seed: u64) -> Schedule {
        match *self {
            Self::Closed { concurrency } => Schedule::Closed { concurrency },
            Self::Open { request_rate, arrival, burstiness, max_in_flight } => Schedule::Open {
                arrivals_ns: arrivals_ns(request_rate, arrival, burstiness, prompts, seed).into(),
                connections: self.connections(prompts),
                max_in_flight,
            },
        }
    }

    /// The same for a run that is only to show that it works.
    pub fn tiny(self) -> Self {
        match self {
            Self::Closed { concurrency } => Self::Closed { concurrency: concurrency.min(TINY_CONCURRENCY) },
            Self::Open { arrival, burstiness, max_in_flight, .. } => {
                Self::Open { request_rate: RequestRate(1000.0), arrival, burstiness, max_in_flight }
            }
        }
    }
}

impl fmt::Display for LoadPoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Closed { concurrency } => write!(f, "closed loop with {concurrency} clients"),
            Self::Open { request_rate, arrival, burstiness, max_in_flight } => {
                write!(f, "open loop at {request_rate} requests/s")?;
                match arrival {
                    Arrival::Constant => f.write_str(", constant")?,
                    Arrival::Poisson => f.write_str(", Poisson")?,
                    Arrival::Gamma => write!(f, ", gamma of shape {burstiness}")?,
                }
                match max_in_flight {
                    Some(most) => write!(f, ", at most {most} in flight"),
                    None => Ok(()),
                }
            }
        }
    }
}
