//! What to run.
//!
//! Takes flags, `TACHOMETER_*` variables, what code says and `tachometer.toml`, in that order of precedence, over the defaults; gives the
//! benchmarks, each a workload at a load point. Everything is checked here: what comes out can be trusted.

mod arguments;
mod benchmarks;
mod builders;
mod environment;
mod error;
mod file;
mod load;
mod plan;
mod rows;
mod seconds;
mod server;
mod servers;
pub(crate) mod settings;
mod shards;
mod sweep;
mod terms;
mod warmup;
mod workload;

pub(crate) use arguments::target_name;
pub use arguments::{Arguments, Color, ListFormat};
pub use benchmarks::Benchmark;
pub use builders::{Code, Given, Server, Workload};
pub(crate) use environment::check_environment;
pub use error::ConfigError;
pub(crate) use file::ConfigFile;
pub use load::FindMax;
pub use plan::Plan;
pub(crate) use plan::plan;
pub use server::{MetricsPage, ServerSpec, Way};
pub use servers::NamedServer;
pub use settings::{FailOn, JsonObject, Settings, Turns};
pub(crate) use settings::{SETTINGS, Setting};
pub use sweep::{Loads, Sweep, SweepRange};
pub(crate) use sweep::{MOST_CLIENTS as MOST_SWEPT_CLIENTS, USUAL_RATES};
pub use terms::Resolve;
pub use warmup::Warmup;
pub(crate) use workload::MOST_PASSES;
pub use workload::WorkloadPlan;

pub use crate::{
    report::{CsvFormat, OutputFormat},
    server::{Hooks, Launch, Readiness, Restart, Serve},
};
