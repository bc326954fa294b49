//! How the prompts of a workload are sent: what each shape says of itself.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{Arrival, RequestRate};
use crate::dataset::Sequence;

/// A shape of load, with its numbers. It prints as reports name it: `closed loop with 64 clients`.
pub trait Shape: fmt::Display + fmt::Debug + Send + Sync {
    /// The last part of a benchmark's name, `c64`; `--load` reads it back.
    fn name(&self) -> String;

    /// `load` of report.json: an object, whose `kind` is the shape's own.
    fn to_json(&self) -> Value;

    /// When each of so many conversations begins in the pass with this seed; they are the first of these, and those again where more begin.
    fn schedule(&self, begun: usize, prompts: &Sequence, seed: u64) -> Schedule;

    /// Connections to open before so many prompts are sent.
    fn connections(&self, prompts: usize) -> usize;

    /// The same for a run that is only to show that it works.
    fn tiny(&self) -> Arc<dyn Shape>;

    /// Whether it sends prompts at the times at which they were recorded, which they must have then.
    fn is_recorded(&self) -> bool {
        false
    }

    /// What must be known of sending these prompts so.
    fn remark(&self, _prompts: &Sequence) -> Option<String> {
        None
    }

    /// Seconds from the first send to the last that it prescribes; 0 where it prescribes none.
    fn lasts_s(&self, _prompts: usize) -> f64 {
        0.0
    }

    /// Requests that it prescribes for so many seconds; `None` where their number hangs on the server.
    fn requests_in(&self, _seconds: f64) -> Option<usize> {
        None
    }

    /// The clients of a closed loop.
    fn concurrency(&self) -> Option<usize> {
        None
    }

    /// Requests per second of an open loop.
    fn request_rate(&self) -> Option<RequestRate> {
        None
    }

    /// Requests that may be in flight at once, where there is such a limit.
    fn max_in_flight(&self) -> Option<usize> {
        None
    }
}

/// What `--load` takes from other settings, whatever the shape.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// How the gaps between arrivals are distributed.
    pub arrival: Arrival,
    /// Shape of gamma-distributed gaps.
    pub burstiness: f64,
    /// A request that would be one more than this in flight waits.
    pub max_in_flight: Option<usize>,
    /// Recorded times are multiplied by it.
    pub time_scale: f64,
    /// Whether recorded times on a coarse grid are spread between its points.
    pub spread: bool,
}

/// One kind of shape, as the table in `point.rs` has it.
pub(super) struct Kind {
    /// `kind` in report.json.
    pub name: &'static str,
    /// How `--load` spells it, for help.
    pub spelling: &'static str,
    /// Reads what [`Shape::name`] gives; `None` where a text is another's, an error where it is this one's and wrong.
    pub parse: fn(&str, &Pacing) -> Option<Result<Arc<dyn Shape>, String>>,
    /// Reads what [`Shape::to_json`] gives.
    pub read: fn(Value) -> Result<Arc<dyn Shape>, serde_json::Error>,
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
