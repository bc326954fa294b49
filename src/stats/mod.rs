//! From the metrics of several passes to estimates with confidence intervals, and from two runs to a verdict.
//!
//! The unit of replication is the pass, or the process of the server, where a run starts several. docs/statistics.md states the methods and their sources, and how they were checked.

mod batch_means;
mod bootstrap;
pub(crate) mod estimate;
mod fisher;
pub(crate) mod holm;
mod knee;
pub(crate) mod levels;
pub(crate) mod objective;
pub(crate) mod paired;
mod stopping;
mod student;
mod verdict;

pub(crate) use batch_means::estimates_within;
pub(crate) use bootstrap::{Bootstrap, bootstrap};
pub use estimate::{Estimate, Replication};
pub(crate) use estimate::{Interval, estimates, over_passes};
pub(crate) use fisher::more_failures;
pub(crate) use holm::holm;
pub(crate) use knee::{AtLoad, is_saturated, knee};
pub use levels::LevelChange;
pub(crate) use levels::level_changes;
pub use objective::{Judged, State};
pub(crate) use objective::{judge, piles_up, too_small};
pub(crate) use paired::{PairedChange, Threshold};
pub use stopping::Stopping;
pub use verdict::Verdict;
