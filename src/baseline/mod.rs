//! What earlier runs left, and where runs leave theirs.

mod choice;
mod commit;
mod error;
mod escaped;
mod history;
mod host;
mod json;
mod store;

pub use choice::{Compare, Whose};
pub use commit::current_commit;
pub use error::BaselineError;
pub use history::{History, HistoryError};
pub use host::this_host;
pub use json::{calibration_from_json, report_from_json, to_json};
pub use store::{AGAINST, BASE, Lock, NEW, PARTIAL, Store};
