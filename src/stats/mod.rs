//! From the metrics of several passes to estimates with confidence intervals.
//!
//! The unit of replication is the pass.

mod estimate;

pub use estimate::{Better, Estimate, Interval, estimates, interval};
