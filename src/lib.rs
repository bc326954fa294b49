//! placeholder
pub mod client;
pub mod dataset;
pub mod engine;
pub mod fixtures;
