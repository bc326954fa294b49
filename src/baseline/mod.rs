//! What earlier runs left, and where runs leave theirs.
//!
//! Files are written whole under another name and then renamed, so that a reader never sees half of one; the history grows
//! by whole lines under a lock.

mod choice;
mod commit;
mod history;
mod host;
mod store;

pub use choice::{Baseline, BaselineError, Compare, Whose};
pub use commit::Commit;
pub use history::{History, HistoryError};
pub use host::Host;
pub(crate) use store::create_parent;
pub use store::{BASE, Lock, NEW, PARTIAL, Store, StoreError, write_whole};
