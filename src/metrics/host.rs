use serde::{Deserialize, Serialize};

/// What the client's machine did during a pass, beside what was measured. What the system does not tell is `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostUse {
    /// How long a fixed piece of work took on one core right before the pass, in seconds, on average of several: the machine's own
    /// speed.
    pub probe_s: f64,
    /// Share of the time of all cores that the hypervisor gave to others.
    #[serde(default)]
    pub stolen_share: Option<f64>,
    /// Cores that other processes used on average: neither the client, nor the server where the run starts it.
    #[serde(default)]
    pub others_cores: Option<f64>,
    /// Share of the time in which some process waited for a core (Linux's pressure stall information).
    #[serde(default)]
    pub waiting_share: Option<f64>,
    /// Clock of the cores at the end, in MHz, on average.
    #[serde(default)]
    pub clock_mhz: Option<f64>,
    /// How often cores were slowed down because of heat.
    #[serde(default)]
    pub throttled: Option<u64>,
}

/// What the processes of the server did during a pass, where the run started it. What the system does not tell is `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerUse {
    /// CPU time, in seconds.
    pub cpu_s: f64,
    /// Most memory that was resident so far, in bytes: the sum of what each process had at its peak.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// How often its threads gave up a core, to wait for something.
    #[serde(default)]
    pub waits: Option<u64>,
    /// How often a core was taken from its threads.
    #[serde(default)]
    pub preemptions: Option<u64>,
}
