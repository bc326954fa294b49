use serde::{Deserialize, Serialize};

use super::{ClientUse, HostUse};

/// What one of several shards did in a pass: `passes[].shards[]` of report.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shard {
    /// From 0.
    pub rank: usize,
    /// The machine's name.
    pub host: String,
    /// Requests that ended as they should.
    pub completed: usize,
    /// All others.
    pub failed: usize,
    /// How much more the clock of shard 0 showed, in seconds: times in reports are by that one.
    pub clock_offset_s: f64,
    /// By how much that may be wrong, in seconds. No latency hangs on it, but the duration, and what happened at the same time.
    pub clock_uncertainty_s: f64,
    /// How long after the start that was named for all it began, in seconds.
    pub began_late_s: f64,
    /// What its client used, and how late it ran.
    pub client: ClientUse,
    /// What its machine did meanwhile.
    #[serde(default)]
    pub host_use: Option<HostUse>,
}

impl Shard {
    /// Of a rank on a host; the rest is 0 and to be set.
    pub fn new(rank: usize, host: String) -> Self {
        Self {
            rank,
            host,
            completed: 0,
            failed: 0,
            clock_offset_s: 0.0,
            clock_uncertainty_s: 0.0,
            began_late_s: 0.0,
            client: ClientUse::default(),
            host_use: None,
        }
    }
}
