//! From one prompt to one record of timestamped events.
//!
//! Takes a server's address, the sampling parameters and a prompt; gives a [`Record`]: when it was sent, when each token
//! event was read, how it ended. The HTTP/1.1 of measured requests is spoken here, on plain sockets, so that every read has
//! its own stamp; questions around the measurement (which model, which version) go through reqwest.

pub(crate) mod answer;
mod api;
#[expect(clippy::module_inception, reason = "what the folder is about")]
mod client;
pub(crate) mod clock;
mod connection;
mod decoder;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod habits;
mod http1;
mod lateness;
mod lines;
pub(crate) mod per_thread;
mod proxy;
mod record;
mod request;
mod response;
#[cfg(feature = "harness")]
mod server_info;
#[cfg(feature = "harness")]
mod server_page;
mod server_url;
pub(crate) mod sse;
mod stamp;
pub(crate) mod stream_reader;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod trust;

pub use answer::{Event, Usage};
pub use api::Api;
pub use client::{Client, ConnectionStats};
pub use failure::{Failure, FailureClass};
#[cfg(feature = "harness")]
pub(crate) use habits::Learned;
pub use lateness::{Delays, ReadLateness};
pub(crate) use per_thread::PerThread;
pub use record::{Gap, Record, TokenSource};
pub use request::{Headers, RequestWriter, Sampling};
pub use response::Arrived;
#[cfg(feature = "harness")]
pub use server_info::{ServerError, ServerInfo};
#[cfg(feature = "harness")]
pub(crate) use server_info::{wait_until_ready, why_not_ready};
#[cfg(feature = "harness")]
pub use server_page::{PageAt, ServerPage};
pub use server_url::ServerUrl;
pub use stamp::StampSource;
pub use target::{Target, Timeouts};
pub use trust::Trust;
