//! cargo's side: flags, listing, test mode, filters, exit codes.
//!
//! Drives the flow from configuration to report. A bench target's `main` is one call of [`main`].

mod baselines;
mod builder;
mod command;
mod conclusion;
mod draw;
mod error;
mod eta;
mod find_max;
mod gate;
mod goal;
mod history;
mod identity;
mod measure;
mod member;
mod merge;
mod mode;
mod objective_tests;
mod passes;
mod probe;
mod progress;
mod prompt_cache;
mod ready;
mod run;
mod search;
mod send;
mod session;
mod shards;
mod smoke_test;
mod sources;
mod spread;
mod started;
mod sweep;
mod trends;

pub use builder::Harness;
pub use conclusion::Conclusion;
pub use error::RunError;
pub use gate::Gate;
pub use mode::Mode;
pub use run::run;

use std::process::ExitCode;

/// The `main` of a bench target: reads the command line, and lists, tests or measures.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     tachometer::main()
/// }
/// ```
pub fn main() -> ExitCode {
    Harness::from_env().main()
}

/// The `main` of a test target with `harness = false`: each objective of each benchmark is a test, which `cargo test` and nextest list,
/// filter and run.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     tachometer::objectives()
/// }
/// ```
///
/// Settings come from `TACHOMETER_*` variables and `tachometer.toml`. A test fails unless its objective is met, with what was measured.
/// Each benchmark is measured once, however many objectives it has, and nothing of it is kept. Where no server is configured, the tests
/// are ignored.
pub fn objectives() -> ExitCode {
    Harness::from_env().objectives()
}
