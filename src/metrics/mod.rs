//! From the records of a pass to its numbers, as docs/design.md defines them.
//!
//! Takes the records of one pass; gives throughputs, distributions of latencies, counts and failures. Nothing here knows how the
//! records came about, and nothing here is rounded.

mod better;
mod client_share;
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
mod steady;

pub use better::Better;
pub use client_share::client_share;
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
pub use pass::{ClientUse, Connections, Late, PassMetrics, count_output_tokens};
pub use scraped::Scrape;
pub use server_metrics::{Gauge, GaugeReading, ServerMetrics};
pub use steady::Steady;
