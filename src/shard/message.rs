//! What shards say to one another.

use serde::{Deserialize, Serialize};

use crate::{
    client::{ConnectionStats, Learned, Record},
    load::{ClientCost, StopReason},
    metrics::HostUse,
};

/// From shard 0 to another one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToMember {
    /// It is still there.
    Alive,
    /// The next pass, and what shard 0 knows of how the server ends answers and connections.
    Order(Box<Order>, Learned),
    /// The pass begins then, in nanoseconds of shard 0's clock.
    Begin { start_ns: u64 },
    /// The answer to a ping: its own time, when it came, and when this went out.
    Pong { sent_ns: u64, received_ns: u64, returned_ns: u64 },
    /// The pass of that order ends early.
    Stop { order: u64, reason: StopReason },
    /// The run is over; it went as it should, or not.
    End { went_well: bool },
}

/// From another shard to shard 0.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToLeader {
    /// It is still there.
    Alive,
    /// What the clock shows.
    Ping { sent_ns: u64 },
    /// Its connections are open and its prompts drawn.
    Ready { order: u64, clock: Clock },
    /// It can't run the pass, or not on.
    Failed(String),
    /// Its pass of that order ends early, and so does everybody's.
    Stopped { order: u64, reason: StopReason },
    /// What its pass gave.
    Gave(Box<ShardRecords>),
}

/// One pass that all shards run together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Counts the passes of a run, from 1.
    pub number: u64,
    /// The benchmark, e.g. `sharegpt/c64`.
    pub benchmark: String,
    /// Which workload of the plan.
    pub workload: String,
    /// Whether it goes to the server that is measured in turn with the first.
    pub is_against: bool,
    /// The model that is asked for.
    pub model: String,
    /// The load point, as report.json has it.
    pub load: String,
    /// Draws the prompts.
    pub seed: u64,
    /// Draws the words before each prompt, where there are such.
    pub nonce_seed: Option<u64>,
    /// Prompts of the whole pass.
    pub num_prompts: usize,
    /// How long the pass goes on, in nanoseconds, where it does not send each of them once.
    pub duration_ns: Option<u64>,
    /// The digest of the whole pass's prompts.
    pub digest: String,
    /// What the request ids begin with.
    pub request_id_prefix: String,
    /// When it was planned, by the wall clock of shard 0, RFC 3339.
    pub started_at: String,
    /// The report of the benchmark as it will be, without its numbers: what a shard needs to make one alone.
    pub report: String,
}

/// How a shard's clock compares with that of shard 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// How much more shard 0's shows, in nanoseconds.
    pub offset_ns: i64,
    /// By how much that may be wrong.
    pub uncertainty_ns: u64,
}

/// What one shard's part of a pass gave, by its own clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardRecords {
    /// From 0.
    pub rank: usize,
    /// How many shards there are.
    pub of: usize,
    /// The machine's name.
    pub host: String,
    /// Which pass.
    pub order: Order,
    /// In sending order.
    pub records: Vec<Record>,
    /// Why it ended early, if so.
    pub stopped: Option<StopReason>,
    /// What the connections cost.
    pub connections: ConnectionStats,
    /// What the client's threads used.
    pub client: ClientCost,
    /// What the machine did meanwhile.
    pub host_use: Option<HostUse>,
    /// How much more shard 0's clock shows, in nanoseconds.
    pub clock_offset_ns: i64,
    /// By how much that may be wrong.
    pub clock_uncertainty_ns: u64,
    /// How long after the start that was named for all it began, in nanoseconds.
    pub began_late_ns: u64,
}

impl ShardRecords {
    /// Of a pass, with nothing in it.
    pub fn of(order: Order) -> Self {
        Self {
            rank: 0,
            of: 1,
            host: String::new(),
            order,
            records: Vec::new(),
            stopped: None,
            connections: ConnectionStats::default(),
            client: ClientCost::default(),
            host_use: None,
            clock_offset_ns: 0,
            clock_uncertainty_ns: 0,
            began_late_ns: 0,
        }
    }
}
