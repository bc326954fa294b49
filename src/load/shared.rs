//! What the threads of a pass share, and what each of them gives.

use std::sync::{
    Arc, Barrier, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{sync::Semaphore, task::JoinError};

use super::{Schedule, pass::Pass};
use crate::client::{ConnectionStats, Delays, ReadLateness, Record};

/// What all threads of a pass share.
pub(super) struct Shared<'a> {
    pub pass: &'a Pass,
    /// The next conversation of a closed loop.
    pub queue: Arc<AtomicUsize>,
    /// Threads that are ready to send.
    ready: Barrier,
    /// Requests that may be in flight at once.
    pub in_flight: Option<Arc<Semaphore>>,
    /// Threads that could not connect.
    failed: AtomicUsize,
    start_ns: OnceLock<u64>,
}

/// What one thread's clients gave.
#[derive(Default)]
pub(super) struct ThreadResult {
    pub records: Vec<Record>,
    /// The prompts that were begun, whatever became of them.
    pub begun: Vec<usize>,
    /// Turns of conversations that had ended before.
    pub not_sent: usize,
    pub connections: ConnectionStats,
    /// CPU time, where the system tells it.
    pub cpu_ns: Option<u64>,
    pub reads: ReadLateness,
    /// How late the runtime's timers ran.
    pub timers: Delays,
}

impl<'a> Shared<'a> {
    /// For so many threads.
    pub fn new(pass: &'a Pass, threads: usize) -> Self {
        // Who sends the requests of an open loop on their way waits for the start, too.
        let dispatchers = usize::from(matches!(pass.schedule, Schedule::Open { .. }));
        Self {
            pass,
            queue: Arc::new(AtomicUsize::new(0)),
            ready: Barrier::new(threads + dispatchers),
            in_flight: match pass.schedule {
                Schedule::Open { max_in_flight, .. } => {
                    max_in_flight.map(|most| Arc::new(Semaphore::new(pass.share.part(most))))
                }
                Schedule::Closed { .. } => None,
            },
            failed: AtomicUsize::new(0),
            start_ns: OnceLock::new(),
        }
    }

    /// When the pass is over, in nanoseconds of the monotonic clock, where a time was set and it has begun.
    pub fn ends_ns(&self) -> Option<u64> {
        let lasts = self.pass.lasts.as_ref()?;
        Some(self.start_ns.get()?.saturating_add(lasts.time().as_nanos() as u64))
    }

    /// Notes that a thread could not connect.
    pub fn thread_failed(&self) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until all threads are ready. The start of the pass, the same for all of them, in nanoseconds of the monotonic
    /// clock; `None` where one of them could not connect.
    pub fn started(&self) -> Option<u64> {
        self.ready.wait();
        // Other shares begin only where all of this one can.
        (self.failed.load(Ordering::SeqCst) == 0).then(|| *self.start_ns.get_or_init(|| self.pass.start.begin_ns()))
    }
}

impl ThreadResult {
    /// Adds what another thread gave.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
        self.begun.extend(other.begun);
        self.not_sent += other.not_sent;
        self.connections += other.connections;
        self.cpu_ns = self.cpu_ns.zip(other.cpu_ns).map(|(a, b)| a + b);
        self.reads.add(&other.reads);
        self.timers.add(&other.timers);
    }
}

/// A task that was stopped has nothing to say; one that panicked ends the pass.
pub(super) fn rethrow<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended {
        Ok(value) => Some(value),
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        client::clock::now_ns,
        load::{Lasts, samples::pass},
    };

    /// All threads begin at one moment, which is still to come when they hear of it first; or none does.
    #[test]
    fn threads_start_together_or_not_at_all() {
        for fails in [false, true] {
            let pass = pass([]);
            let shared = Shared::new(&pass, 2);
            let before_ns = now_ns();
            if fails {
                shared.thread_failed();
            }
            let (a, b) = std::thread::scope(|scope| {
                let other = scope.spawn(|| shared.started());
                (shared.started(), other.join().unwrap())
            });
            assert_eq!((a, a.is_none()), (b, fails));
            assert!(a.is_none_or(|start_ns| start_ns > before_ns));
        }
    }

    #[test]
    fn what_threads_gave_adds_up() {
        let of = |cpu_ns, begun: &[usize], not_sent| ThreadResult {
            cpu_ns,
            begun: begun.into(),
            not_sent,
            ..ThreadResult::default()
        };
        let mut all = of(Some(2), &[1], 3);
        all.merge(of(Some(3), &[0, 4], 4));
        assert_eq!((all.cpu_ns, all.begun.as_slice(), all.not_sent), (Some(5), &[1, 0, 4][..], 7));
        all.merge(of(None, &[], 0));
        assert_eq!(all.cpu_ns, None);
    }

    #[test]
    fn a_pass_that_goes_on_for_a_time_ends_that_long_after_its_start() {
        let timed = Pass { lasts: Some(Lasts::new(Duration::from_secs(3), 1, 0)), ..pass([]) };
        for (pass, lasts_ns) in [(&timed, Some(3_000_000_000)), (&pass([]), None)] {
            let shared = Shared::new(pass, 1);
            assert_eq!(shared.ends_ns(), None, "it has not begun");
            let start_ns = shared.started().unwrap();
            assert_eq!(shared.ends_ns(), lasts_ns.map(|lasts_ns: u64| start_ns + lasts_ns));
        }
    }

    #[test]
    fn a_task_that_panicked_ends_the_pass_and_one_that_was_stopped_does_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let task = |panics: bool| tokio::spawn(async move { if panics { panic!("on purpose") } else { 5 } });
            assert_eq!(rethrow(task(false).await), Some(5));
            let stopped = tokio::spawn(std::future::pending::<i32>());
            stopped.abort();
            assert_eq!(rethrow(stopped.await), None);
            let ended = task(true).await;
            let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rethrow(ended)));
            assert_eq!(thrown.unwrap_err().downcast_ref(), Some(&"on purpose"));
        });
    }
}
