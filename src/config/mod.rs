//! What to run.
//!
//! Takes flags, `TACHOMETER_*` variables and `tachometer.toml`, in that order of precedence, over the defaults; gives the
//! benchmarks, each a workload at a load point. Everything is checked here: what comes out can be trusted.

mod cli;
mod error;
mod file;
mod load;
mod plan;
mod server;
mod settings;

pub use cli::{Cli, Color, ListFormat};
pub use error::ConfigError;
pub use file::{ConfigFile, FILE_NAME};
pub use plan::{Benchmark, Plan, Workload, check_environment, plan};
pub use server::ServerSpec;
pub use settings::{FailOn, OutputFormat, Settings};
