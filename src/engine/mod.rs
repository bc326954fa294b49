//! A simulated inference engine behind a real HTTP/1.1 server on a loopback port.
//!
//! Three things at once: what `cargo bench` measures when no server is configured, the mock of the test suite, and the
//! ground truth for the client's accuracy, since it records when each request was received, admitted and answered, token by
//! token, on the machine's monotonic clock. It batches continuously: at most `instance_num` requests run, the rest wait in
//! order; a step's time grows with the batch and with the prompts that are prefilled in it.

mod asked;
mod config;
mod dialect;
mod fault;
mod http;
mod prefix_cache;
mod scheduler;
mod server;
mod truth;

pub use config::EngineConfig;
pub use fault::Fault;
pub use server::Engine;
pub use truth::RequestTruth;
