//! Servers that a run starts: by a command, in a process group of their own that does not outlive the run, or as a function of the
//! program itself. And what the machine does meanwhile, and what any server counts itself.

mod error;
mod gpu;
mod group;
mod host;
mod in_process;
mod launch;
mod names;
mod page;
mod process;
mod readings;
mod ready;
mod revision;
mod scrape;

pub use error::StartError;
pub use host::HostWatch;
pub use in_process::{InProcess, Serve};
pub use launch::{Hooks, Launch, Place, Readiness, Restart};
pub use process::{Process, free_port, run_to_end};
pub use ready::wait_until_ready;
pub use revision::check_out;
pub use scrape::{Ours, Scraper, Scraping, Sought};
