//! Two runs of one benchmark side by side: whether they may be compared, what changed, and the verdict.
//!
//! Takes the report of a run and of its baseline; gives a [`Comparison`](crate::run::Comparison) for each benchmark, which [`settle`] brings to a
//! verdict when all of them are there, since every comparison made together counts in the correction.

mod boundary;
mod calibration;
mod change;
mod comparable;
mod comparison;
mod confounders;
mod standing;
mod trend;
mod units;

pub use boundary::compare_boundaries;
pub use calibration::{calibrate, with_earlier};
pub use comparable::cache_reason;
pub use comparison::{Terms, compare, settle};
pub use standing::{Standing, precision, standings};
pub use trend::{boundary_trend, trends};
