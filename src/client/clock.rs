//! The one clock of all measured times: the machine's monotonic clock, in nanoseconds.
//!
//! Raw, so that times compare with those of other processes on the machine (the engine's record, a server's log).

/// Nanoseconds of CLOCK_MONOTONIC.
#[cfg(unix)]
pub fn now_ns() -> u64 {
    clock_ns(nix::time::ClockId::CLOCK_MONOTONIC)
}

/// CPU time that the calling thread has used, in nanoseconds; `None` where the platform does not tell.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos"))]
pub fn thread_cpu_ns() -> Option<u64> {
    Some(clock_ns(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID))
}

#[cfg(unix)]
fn clock_ns(clock: nix::time::ClockId) -> u64 {
    // A clock that every such kernel has: the call can't fail.
    let time = clock.now().unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Nanoseconds since the first call, where there is no CLOCK_MONOTONIC to read.
#[cfg(not(unix))]
pub fn now_ns() -> u64 {
    static START: once_cell::sync::Lazy<std::time::Instant> = once_cell::sync::Lazy::new(std::time::Instant::now);
    START.elapsed().as_nanos() as u64
}

/// CPU time that the calling thread has used, in nanoseconds; `None` where the platform does not tell.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos")))]
pub fn thread_cpu_ns() -> Option<u64> {
    None
}
