//! How the kernel schedules the threads of a pass: soon after there is something to do, also where other work wants their cores.
//!
//! A thread that sends at set times, and reads what comes at any time, runs for microseconds at once. Where its core is busy it
//! still waits for the slice of the one that runs there, 3 ms by default. Linux 6.12 and later let a thread ask for shorter slices:
//! it then runs sooner, for as long in all as before.

/// The shortest slice that Linux gives.
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000;
/// How late Linux may let a thread's timers run, so that one interrupt serves several: 50 µs by default.
#[cfg(target_os = "linux")]
const TIMER_SLACK_NS: u64 = 1;

/// Asks for all that for the calling thread, and for those that it starts. It runs as it did before where the system gives none of it.
#[cfg(target_os = "linux")]
pub(super) fn run_soon() {
    _ = nix::sys::prctl::set_timerslack(TIMER_SLACK_NS);
    _ = schedule(|attributes| attributes.sched_runtime = SLICE_NS);
}

/// Other systems have nothing like it.
#[cfg(not(target_os = "linux"))]
pub(super) fn run_soon() {}

/// Changes how the calling thread is scheduled, and keeps what `change` leaves: its policy and its nice value. Threads of other policies
/// than the usual ones have no slices.
///
/// # Errors
/// Where the kernel refuses.
#[cfg(target_os = "linux")]
// No crate has these two calls: libc has neither, and nix and rustix leave them out.
#[expect(unsafe_code)]
fn schedule(change: impl FnOnce(&mut nix::libc::sched_attr)) -> std::io::Result<()> {
    use nix::libc;

    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: the struct has integers alone, for which zeros are values.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `size` bytes, which `attributes` has, and keeps nothing of it.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, &raw mut attributes, size, NO_FLAGS) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    if ![libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(attributes.sched_policy as libc::c_int)) {
        return Ok(());
    }
    attributes.size = size;
    change(&mut attributes);
    // SAFETY: the kernel reads `size` bytes of `attributes`, and keeps nothing of it.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw const attributes, NO_FLAGS) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// Policy, nice value, slice and timer slack of the calling thread.
    fn scheduled() -> (u32, i32, u64, u64) {
        let mut found = (0, 0, 0);
        schedule(|now| found = (now.sched_policy, now.sched_nice, now.sched_runtime)).unwrap();
        (found.0, found.1, found.2, nix::sys::prctl::get_timerslack().unwrap() as u64)
    }

    /// Whether this is Linux 6.12 or later.
    fn takes_slices() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 12)
    }

    /// The nice value is one that anybody may ask for.
    #[test]
    fn a_thread_has_short_slices_and_keeps_its_nice_value() {
        const NICEST: i32 = 19;
        let others = scheduled();
        std::thread::spawn(move || {
            schedule(|attributes| attributes.sched_nice = NICEST).unwrap();
            run_soon();
            let (policy, nice, slice_ns, slack_ns) = scheduled();
            assert_eq!((policy, nice, slack_ns), (others.0, NICEST, TIMER_SLACK_NS));
            assert!(!takes_slices() || slice_ns == SLICE_NS, "{slice_ns}");
        })
        .join()
        .unwrap();
        assert_eq!(scheduled(), others, "another thread has its own");
    }
}
