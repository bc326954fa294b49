//! How the clocks of two shards compare, as NTP finds it: messages there and back, of which the quickest counts.

use super::message::Clock;
use crate::client::clock::now_ns;

/// In a test, so many nanoseconds are added to this shard's clock.
const SHIFT: &str = "TACHOMETER_TEST_CLOCK_SHIFT_NS";

/// The clock that a shard shows to others: the machine's monotonic one, whose zero is another on each machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharedClock {
    shift_ns: i64,
}

impl SharedClock {
    /// Of this process.
    pub fn of_this_process() -> Self {
        let shift = std::env::var(SHIFT).ok().and_then(|text| text.parse().ok());
        Self { shift_ns: shift.unwrap_or(0) }
    }

    /// What it shows now, in nanoseconds.
    pub fn now_ns(self) -> u64 {
        now_ns().saturating_add_signed(self.shift_ns)
    }

    /// What the machine's own clock shows when this one shows that.
    pub(super) fn local_ns(self, shown_ns: u64) -> u64 {
        shown_ns.saturating_add_signed(-self.shift_ns)
    }

    /// How much more it shows than the machine's own.
    pub(super) fn shift_ns(self) -> i64 {
        self.shift_ns
    }
}

/// One message there and back: when it went out and came home by one clock, and between that when it came and was returned by the
/// other, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub sent_ns: u64,
    pub received_ns: u64,
    pub returned_ns: u64,
    pub back_ns: u64,
}

impl Exchange {
    /// Both ways may have taken from nothing to all of the time that was spent on them.
    fn clock(self) -> Clock {
        let between = |from: u64, to: u64| i128::from(to) - i128::from(from);
        let (there, back) = (between(self.sent_ns, self.received_ns), between(self.back_ns, self.returned_ns));
        let on_the_way = between(self.sent_ns, self.back_ns) - between(self.received_ns, self.returned_ns);
        Clock {
            offset_ns: i64::try_from((there + back) / 2).unwrap_or(0),
            // And one for what halving loses.
            uncertainty_ns: u64::try_from(on_the_way / 2 + 1).unwrap_or(1),
        }
    }
}

/// Of several exchanges, what the quickest says.
pub(super) fn quickest(exchanges: impl IntoIterator<Item = Exchange>) -> Option<Clock> {
    exchanges.into_iter().map(Exchange::clock).min_by_key(|clock| clock.uncertainty_ns)
}

/// What the one before a pass and the one after it say of the time between: the offset is that of the surer of the two. All began by the one
/// before, so that it is never said to be surer than that, and where the two contradict each other, as much less sure.
pub(super) fn over(before: Clock, after: Clock) -> Clock {
    let (surer, other) = if before.uncertainty_ns <= after.uncertainty_ns { (before, after) } else { (after, before) };
    let apart = surer.offset_ns.abs_diff(other.offset_ns);
    let unexplained = apart.saturating_sub(surer.uncertainty_ns + other.uncertainty_ns);
    Clock { uncertainty_ns: before.uncertainty_ns + unexplained, ..surer }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other clock shows 1,000 more; the way there takes `there`, that back `back`.
    fn exchange(there: u64, back: u64) -> Exchange {
        let sent_ns = 50_000;
        let received_ns = sent_ns + there + 1_000;
        let returned_ns = received_ns + 300;
        Exchange { sent_ns, received_ns, returned_ns, back_ns: returned_ns - 1_000 + back }
    }

    #[test]
    fn the_truth_lies_within_the_uncertainty() {
        for (there, back) in [(100, 100), (0, 500), (500, 0), (7, 8), (0, 0)] {
            let clock = exchange(there, back).clock();
            assert!(clock.offset_ns.abs_diff(1_000) <= clock.uncertainty_ns, "{there} {back}: {clock:?}");
            assert!(clock.uncertainty_ns <= (there + back) / 2 + 1);
        }
        // A clock that shows less.
        let less = Exchange { sent_ns: 9_000, received_ns: 100, returned_ns: 100, back_ns: 9_200 }.clock();
        assert_eq!((less.offset_ns, less.uncertainty_ns), (-9_000, 101));
    }

    #[test]
    fn the_quickest_is_the_surest() {
        let clock = quickest([exchange(400, 10), exchange(20, 22), exchange(90, 0)]).unwrap();
        assert_eq!((clock.offset_ns, clock.uncertainty_ns), (999, 22));
        assert_eq!(quickest([]), None);
    }

    #[test]
    fn clocks_that_drift_apart_are_less_sure() {
        let clock = |offset_ns, uncertainty_ns| Clock { offset_ns, uncertainty_ns };
        assert_eq!(over(clock(100, 20), clock(110, 30)), clock(100, 20));
        // Who began by a clock that was less sure may have begun so far off.
        assert_eq!(over(clock(100, 30), clock(110, 20)), clock(110, 30));
        assert_eq!(over(clock(100, 10), clock(200, 20)), clock(100, 80));
    }
}
