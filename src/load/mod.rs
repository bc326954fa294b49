//! How prompts are sent.
//!
//! Takes the prompts of a pass and a load shape; gives a record for each prompt. In a closed loop C clients drain one queue
//! of prompts in order, each sending the next as soon as its last one has ended. In an open loop each prompt is sent at its
//! time, which is computed from the seed before the pass.

pub(crate) mod arrivals;
mod budget;
mod closed;
mod conversation;
mod lasts;
mod observer;
mod open;
pub(crate) mod open_files;
mod pass;
mod point;
mod recorded;
mod run;
#[cfg(test)]
mod samples;
mod scheduling;
#[cfg(feature = "harness")]
mod searched;
mod shape;
mod share;
mod shared;
mod stop;
mod thread;

pub(crate) use arrivals::arrivals_ns;
pub use arrivals::{Arrival, RequestRate};
pub use budget::{FailureBudget, FailureLimit};
pub use lasts::Lasts;
pub use observer::Observer;
pub use open::Open;
#[cfg(feature = "harness")]
pub(crate) use open_files::raise_open_files_limit;
pub use pass::{ClientCost, Pass, PassRecords};
pub use point::LoadPoint;
pub use run::run_pass;
#[cfg(feature = "harness")]
pub use searched::Searched;
pub use shape::{Pacing, Schedule, Shape};
pub use share::{Share, Start};
pub use stop::{Stop, StopReason};
