//! One run on several machines, or in several processes: each sends its share of the one workload.
//!
//! Shard 0 leads: it says which pass comes next and when it begins, and takes the records of all. What is measured is computed from all
//! records together, by the code of one machine; nothing is averaged. The others only send. How they find one another is a
//! [`Rendezvous`]: a folder that all can write, or a TCP port of shard 0.

mod clock;
mod folder;
mod handshake;
mod launcher;
mod leader;
mod link;
mod member;
mod message;
mod records;
mod rendezvous;
mod tcp;

pub use launcher::of_launcher;
pub use leader::Leader;
pub use link::ShardError;
pub use member::{Member, Next};
pub use message::{Order, ShardRecords};
pub use records::{read_records, write_records};
pub use rendezvous::{Rendezvous, Terms};

/// The name of this machine, as others in its network know it.
pub fn this_machine() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}
