//! What earlier runs left, and where runs leave theirs.
//!
//! Files are written whole under another name and then renamed, so that a reader never sees half of one.

mod commit;
mod host;
mod store;

pub use commit::Commit;
pub use host::Host;
pub(crate) use store::create_parent;
pub use store::{Lock, Store, StoreError, write_whole};
