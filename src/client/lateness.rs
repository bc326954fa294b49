//! How late the client itself runs.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::stamp::StampSource;

/// How much later than the kernel the reads of one thread's connections took their bytes, as it is measured: a few
/// nanoseconds a read, and no memory.
#[derive(Clone)]
pub struct Lateness(Arc<Mutex<ReadLateness>>);

/// How much later than the kernel the reads of some connections took their bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadLateness {
    late: Delays,
    unstamped: u64,
}

/// How late something ran, time after time, in nanoseconds; to two digits.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Counts", into = "Counts")]
pub struct Delays(Histogram<u64>);

/// A delay in nanoseconds, and how often it was met.
type Counts = Vec<(u64, u64)>;

impl Default for Delays {
    fn default() -> Self {
        // Its bounds are sound, and two digits are allowed.
        Self(Histogram::new_with_bounds(1, MOST_NS, DIGITS).unwrap_or_else(|e| unreachable!("{e}")))
    }
}

impl Delays {
    /// Takes one.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds those of others.
    pub fn add(&mut self, other: &Self) {
        // All have the same bounds.
        _ = self.0.add(&other.0);
    }

    /// The delay in seconds below which that share of them lies; `None` where there are none.
    pub fn quantile_s(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 * 1e-9)
    }
}

impl From<Counts> for Delays {
    fn from(counts: Counts) -> Self {
        let mut delays = Self::default();
        for (ns, count) in counts {
            delays.0.saturating_record_n(ns, count);
        }
        delays
    }
}

impl From<Delays> for Counts {
    fn from(Delays(histogram): Delays) -> Self {
        histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(Counts::from(self.clone())).finish()
    }
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

impl Lateness {
    /// Takes one read: how late it was, or `None` where the kernel gave no stamp.
    pub(super) fn record(&self, late_ns: Option<u64>) {
        let mut inner = self.inner();
        match late_ns {
            Some(late_ns) => inner.late.record(late_ns),
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
        self.late.add(&other.late);
        self.unstamped += other.unstamped;
    }

    /// Where the arrival times came from: the kernel only where it stamped every read.
    pub fn source(&self) -> StampSource {
        if self.unstamped == 0 && !self.late.0.is_empty() { StampSource::Kernel } else { StampSource::Read }
    }

    /// The lateness in seconds below which that share of the reads lies; `None` where none was stamped.
    pub fn quantile_s(&self, quantile: f64) -> Option<f64> {
        self.late.quantile_s(quantile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_the_same_after_they_were_written_and_read() {
        let mut delays = Delays::default();
        for ns in [1, 99, 1_234, 1_234, 56_789_012, 3_000_000_000, u64::MAX] {
            delays.record(ns);
        }
        let read: Delays = serde_json::from_str(&serde_json::to_string(&delays).unwrap()).unwrap();
        assert_eq!(read, delays);
        let quantiles = [0.0, 0.5, 0.9, 1.0];
        assert_eq!(quantiles.map(|q| read.quantile_s(q)), quantiles.map(|q| delays.quantile_s(q)));
        // Two halves are the whole.
        let mut twice = delays.clone();
        twice.add(&read);
        assert_eq!(
            Counts::from(twice),
            Counts::from(delays).into_iter().map(|(ns, n)| (ns, 2 * n)).collect::<Vec<_>>()
        );
        assert_eq!(Delays::default().quantile_s(0.5), None);
    }
}
