use serde::{Deserialize, Serialize};

use super::Gauge;

/// What the GPUs did during a pass, all of them together, by DCGM's exporter: `passes[].gpu` of report.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GpuMetrics {
    /// How many there are.
    pub gpus: usize,
    /// Readings during the pass, about one a second.
    pub readings: usize,
    /// Watts of all of them.
    pub power_w: Option<Gauge>,
    /// The share of the time in which they worked, on average over them.
    pub utilization: Option<Gauge>,
    /// Memory in use, of all of them.
    pub memory_bytes: Option<Gauge>,
    /// Joules of all of them between the first send and the last end.
    pub energy_j: Option<f64>,
}
