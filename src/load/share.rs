//! A pass that is one of several, on other machines perhaps: which of the prompts are its own, and when all of them begin.

use std::time::Duration;

use crate::client::clock::now_ns;

/// The part of a workload and its schedule that a pass sends: of n shares, the one of rank r sends the prompts i with i ≡ r (mod n), each
/// at the time and under the request id that it has in the whole. The default is the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub rank: usize,
    /// How many shares there are, at least 1.
    pub of: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { rank: 0, of: 1 }
    }
}

impl Share {
    /// How many of so many prompts are its own.
    pub fn count(self, prompts: usize) -> usize {
        prompts.saturating_sub(self.rank).div_ceil(self.of.max(1))
    }

    /// The position in the whole of its prompt number i.
    pub fn position(self, i: usize) -> usize {
        self.rank + i * self.of.max(1)
    }

    /// Its part of so many clients or connections, at least one.
    pub fn part(self, whole: usize) -> usize {
        self.count(whole).max(1)
    }
}

/// From the moment when all threads are ready to the first arrival of an open loop.
const LEAD: Duration = Duration::from_millis(5);

/// Says when a pass begins. It is asked once, when every connection is open and before anything is sent, and may wait for other shares.
pub trait Start: Send + Sync {
    /// The begin, in nanoseconds of the machine's monotonic clock; soon, where there is nobody to wait for.
    fn begin_ns(&self) -> u64 {
        now_ns() + LEAD.as_nanos() as u64
    }
}

/// Waits for nobody.
impl Start for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_whole_and_do_not_overlap() {
        for (prompts, of) in [(0, 1), (7, 1), (7, 2), (8, 3), (2, 5)] {
            let shares = (0..of).map(|rank| Share { rank, of });
            let positions = shares.flat_map(|share| (0..share.count(prompts)).map(move |i| share.position(i)));
            let mut positions: Vec<usize> = positions.collect();
            positions.sort_unstable();
            assert_eq!(positions, (0..prompts).collect::<Vec<_>>(), "{prompts} in {of}");
        }
        assert_eq!([0, 1, 2].map(|rank| Share { rank, of: 3 }.part(64)), [22, 21, 21]);
        assert_eq!(Share { rank: 2, of: 3 }.part(2), 1);
    }

    #[test]
    fn whoever_waits_for_nobody_begins_soon() {
        let (before_ns, begin_ns) = (now_ns(), ().begin_ns());
        assert!(begin_ns > before_ns && begin_ns < now_ns() + 3_600_000_000_000, "{before_ns} {begin_ns}");
    }
}
