//! From the records of a pass to its numbers, as docs/design.md defines them.
//!
//! Takes the records of one pass; gives throughputs, distributions of latencies, counts and failures. Nothing here knows how the
//! records came about, and nothing here is rounded.

mod better;
mod client_share;
mod client_use;
mod conversations;
mod distribution;
mod goodput;
mod gpu;
mod histogram;
mod host;
mod limit;
mod metric;
mod mlperf;
mod objective;
mod pass;
mod scraped;
mod server_metrics;
mod shard;
mod steady;

pub use better::Better;
pub use client_share::client_share;
pub use client_use::{ClientUse, Late};
pub use conversations::{Conversations, TurnMetrics};
pub use distribution::Distribution;
#[cfg(feature = "harness")]
pub(crate) use distribution::percentile;
pub use goodput::Goodput;
pub use gpu::GpuMetrics;
pub use histogram::{Histogram, Histograms};
pub use host::{HostUse, ServerUse};
pub use limit::Limit;
pub use metric::{ByMetric, Metric, Point, Quantity};
pub use objective::{Count, Objective, Subject};
pub use pass::{Connections, PassMetrics, count_output_tokens};
pub use scraped::Scrape;
pub use server_metrics::{Gauge, GaugeReading, ServerMetrics};
pub use shard::Shard;
pub use steady::Steady;
