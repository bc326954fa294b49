//! How the kernel schedules the threads of a pass: soon after there is something to do, also where other work wants their cores.
//!
//! A thread that sends at set times, and reads what comes at any time, runs for microseconds at once. Where its core is busy it
//! still waits for the slice of the one that runs there, 3 ms by default. Linux 6.12 and later let a thread ask for shorter slices:
//! it then runs sooner, for as long in all as before.

use std::io;

/// The shortest slice that Linux gives.
const SLICE_NS: u64 = 100_000;
/// How late Linux may let a thread's timers run, so that one interrupt serves several: 50 µs by default.
const TIMER_SLACK_NS: u64 = 1;

/// Asks for all that for the calling thread, and for those that it starts. It runs as it did before where the system gives none of it.
#[cfg(target_os = "linux")]
pub(super) fn run_soon() {
    _ = nix::sys::prctl::set_timerslack(TIMER_SLACK_NS);
    _ = shorten_slices();
}

/// Other systems have nothing like it.
#[cfg(not(target_os = "linux"))]
pub(super) fn run_soon() {}

/// Sets the length of the thread's slices, and keeps its policy and its nice value. Threads of a real-time policy have no slices.
///
/// # Errors
/// Where the kernel refuses.
#[cfg(target_os = "linux")]
// No crate has these two calls: libc has neither, and nix and rustix leave them out.
#[expect(unsafe_code)]
fn shorten_slices() -> io::Result<()> {
    use nix::libc;

    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: the struct has integers alone, for which zeros are values.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `size` bytes, which `attributes` has, and keeps nothing of it.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, &raw mut attributes, size, NO_FLAGS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if ![libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(attributes.sched_policy as libc::c_int)) {
        return Ok(());
    }
    attributes.size = size;
    attributes.sched_runtime = SLICE_NS;
    // SAFETY: the kernel reads `size` bytes of `attributes`, and keeps nothing of it.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw const attributes, NO_FLAGS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// A field of the calling thread, as the kernel tells it: the 17th after the name in parentheses is the nice value.
    fn nice() -> i64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    }

    /// Whether this is Linux 6.12 or later.
    fn takes_slices() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 12)
    }

    #[test]
    fn a_thread_has_short_slices_and_its_nice_value() {
        let before = nice();
        std::thread::spawn(move || {
            shorten_slices().unwrap();
            run_soon();
            assert_eq!(nix::sys::prctl::get_timerslack().unwrap() as u64, TIMER_SLACK_NS);
            assert_eq!(nice(), before);
            // Kernels that are built with CONFIG_SCHED_DEBUG tell.
            let told = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
            let slice =
                told.lines().find_map(|line| line.strip_prefix("se.slice")?.split(':').nth(1)?.trim().parse().ok());
            assert!(!takes_slices() || slice.is_none_or(|slice: u64| slice == SLICE_NS), "{slice:?}");
        })
        .join()
        .unwrap();
        assert_ne!(nix::sys::prctl::get_timerslack().unwrap() as u64, TIMER_SLACK_NS, "another thread has its own");
    }
}
