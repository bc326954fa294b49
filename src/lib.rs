//! placeholder
pub mod client;
pub mod config;
pub mod dataset;
pub mod engine;
pub mod fixtures;
pub mod load;
pub mod metrics;
pub mod stats;
