//! The `cargo bench` harness for LLM API servers.
//!
//! Requests per minute, token throughput and first-token latency of an OpenAI-compatible server, under a fixed-seed workload
//! from a ShareGPT file, by the method of LMDeploy's API server performance test. A bench target is one line:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     tachometer::main()
//! }
//! ```
//!
//! The streaming client and the sampling of datasets serve other code too, in any tokio runtime:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use tachometer::{
//!     client::Client,
//!     dataset::{Policy, Sampler, ShareGpt, Tokenizer},
//! };
//!
//! let tokenizer = Arc::new(Tokenizer::load("tokenizer.json")?);
//! let sampler = Sampler::new(ShareGpt::file("sharegpt.json"), tokenizer, Policy::FilterThenSample)?;
//! let mut client = Client::connect("http://127.0.0.1:8000", "my-model").await?;
//! for prompt in sampler.draw(0, 5)? {
//!     let record = client.send_with(&prompt, |event| println!("{:?} {}", event.at, event.text)).await;
//!     record.outcome?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The flow goes one way, a folder a stage: [`config`] says what to run, [`dataset`] turns a file and a seed into prompts,
//! [`load`] sends them through [`client`]s, [`metrics`] turns records into numbers, [`stats`] turns passes into estimates,
//! and two runs side by side get a verdict. [`harness`] is cargo's side of it, [`run`] is what a run found, as plain data, and
//! [`engine`] is a simulated server that knows the truth about each request.

#![warn(missing_docs)]
#![deny(unsafe_code)]

#[cfg(feature = "harness")]
mod baseline;
pub mod client;
#[cfg(feature = "harness")]
mod compare;
#[cfg(feature = "harness")]
pub mod config;
pub mod dataset;
#[cfg(feature = "harness")]
pub mod engine;
mod files;
#[cfg(any(feature = "harness", test))]
pub mod fixtures;
#[cfg(feature = "harness")]
pub mod harness;
#[doc(hidden)]
pub mod internals;
pub mod load;
pub mod metrics;
#[cfg(feature = "harness")]
mod report;
#[cfg(feature = "harness")]
pub mod run;
#[cfg(feature = "harness")]
mod server;
#[cfg(feature = "harness")]
mod shard;
#[cfg(feature = "harness")]
pub mod stats;
mod text;

#[cfg(feature = "harness")]
pub use baseline::report_from_json;
#[cfg(feature = "harness")]
pub use config::{Server, Workload};
#[cfg(feature = "harness")]
pub use harness::{Harness, main, objectives};
