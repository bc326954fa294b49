//! How late the client itself runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use super::stamp::StampSource;

/// How much later than the kernel the reads of one thread's connections took their bytes, as it is measured: a few
/// nanoseconds a read, and no memory.
#[derive(Clone)]
pub struct Lateness(Arc<Mutex<ReadLateness>>);

/// What [`Lateness`] measured.
#[derive(Clone)]
pub struct ReadLateness {
    late_ns: Histogram<u64>,
    unstamped: u64,
}

/// Digits that a histogram keeps.
const DIGITS: u8 = 2;
/// Later than this is counted as this.
const MOST_NS: u64 = 600_000_000_000;

impl Default for Lateness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(ReadLateness::default())))
    }
}

impl Default for ReadLateness {
    fn default() -> Self {
        Self { late_ns: histogram(), unstamped: 0 }
    }
}

/// A histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    // Its bounds are sound, and two digits are allowed.
    Histogram::new_with_bounds(1, MOST_NS, DIGITS).unwrap_or_else(|e| unreachable!("{e}"))
}

impl Lateness {
    /// Takes one read: how late it was, or `None` where the kernel gave no stamp.
    pub(super) fn record(&self, late_ns: Option<u64>) {
        let mut inner = self.inner();
        match late_ns {
            Some(late_ns) => inner.late_ns.saturating_record(late_ns),
            None => inner.unstamped += 1,
        }
    }

    /// What was measured so far, which starts anew.
    pub fn take(&self) -> ReadLateness {
        std::mem::take(&mut *self.inner())
    }

    /// Its thread is alone with it, so that nobody waits.
    fn inner(&self) -> MutexGuard<'_, ReadLateness> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadLateness {
    /// Adds what another thread measured.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        _ = self.late_ns.add(&other.late_ns);
        self.unstamped += other.unstamped;
    }

    /// Where the arrival times came from: the kernel only where it stamped every read.
    pub fn source(&self) -> StampSource {
        if self.unstamped == 0 && !self.late_ns.is_empty() { StampSource::Kernel } else { StampSource::Read }
    }

    /// The lateness in seconds below which that share of the reads lies; `None` where none was stamped.
    pub fn quantile_s(&self, quantile: f64) -> Option<f64> {
        (!self.late_ns.is_empty()).then(|| self.late_ns.value_at_quantile(quantile) as f64 * 1e-9)
    }
}
