//! From the metrics of several passes to estimates with confidence intervals, and from two runs to a verdict.
//!
//! The unit of replication is the pass. docs/statistics.md states the methods and their sources, and how they were checked.

mod batch_means;
mod bootstrap;
mod estimate;
mod fisher;
mod holm;
mod paired;
mod verdict;

pub use batch_means::{BATCHES, estimates_within};
pub use bootstrap::{Bootstrap, bootstrap};
pub use estimate::{Estimate, Interval, Replication, estimates, interval};
pub use fisher::more_failures;
pub use holm::holm;
pub use paired::{POWER, PairedChange, Threshold};
pub use verdict::Verdict;
