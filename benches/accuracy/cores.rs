//! The client on one core, the engine on another: where the platform allows it.

#[cfg(target_os = "linux")]
fn pin(core: impl FnOnce(usize) -> usize) {
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };
    // Of this process: threads that are started later inherit it. Where it fails, the run is only noisier.
    let this = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this) else { return };
    let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
    let mut set = CpuSet::new();
    if cores.len() > 1 && set.set(cores[core(cores.len())]).is_ok() {
        _ = sched_setaffinity(this, &set);
    }
}

#[cfg(not(target_os = "linux"))]
fn pin(_: impl FnOnce(usize) -> usize) {}

/// For the client.
pub fn pin_to_first_core() {
    pin(|_| 0);
}

/// For the engine.
pub fn pin_to_last_core() {
    pin(|cores| cores - 1);
}
