use serde::{Deserialize, Serialize};

use crate::client::StampSource;

/// What the client itself used, and how late it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientUse {
    /// CPU time of the client's threads.
    pub cpu_s: Option<f64>,
    /// The number of those threads.
    pub threads: usize,
    /// Where arrival times come from.
    #[serde(default)]
    pub stamps: Option<StampSource>,
    /// How much later than the kernel the client's reads took their bytes; `null` where the kernel gives no stamps.
    #[serde(default)]
    pub read_late_s: Option<Late>,
    /// How late the client's timers ran; they tick in milliseconds, and up to one is their own.
    #[serde(default)]
    pub timer_late_s: Option<Late>,
    /// How much of what was measured is the client's own doing: in a closed loop the share of its clients' time between the end of an
    /// answer and the next send; in an open loop the mean lateness of sends, as a share of the mean time to first token (of the latency,
    /// without streaming). `null` where that is not known.
    #[serde(default)]
    pub share: Option<f64>,
}

/// How late something ran, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Late {
    /// From a function that gives quantiles.
    pub(crate) fn of(quantile_s: impl Fn(f64) -> Option<f64>) -> Option<Self> {
        Some(Self { p50: quantile_s(0.50)?, p99: quantile_s(0.99)? })
    }
}
