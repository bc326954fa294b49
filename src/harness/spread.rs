//! How the passes of a benchmark are spread over processes of its server, where the run starts it.

use std::time::Duration;

use crate::server::Restart;

/// How passes are spread over processes of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All go to one.
    One,
    /// So many to each.
    Each(usize),
    /// That hangs on how long starts and passes take, and is settled after the first pass.
    Open,
}

/// A server is to be started so many times in a run, where its starts are dear.
const LEAST_PROCESSES: usize = 3;

impl Spread {
    /// Of a server that the run starts: as `--instances` says, or else as its `restart` does.
    pub fn of(instances: Option<usize>, restart: Option<Restart>, sample_size: usize) -> Self {
        match (instances, restart) {
            (Some(1), _) | (None, Some(Restart::Never | Restart::Benchmark)) => Self::One,
            (Some(instances), _) => Self::Each(sample_size.div_ceil(instances)),
            (None, Some(Restart::Pass)) => Self::Each(1),
            (None, None) => Self::Open,
        }
    }

    /// How many passes go to one process, once it is known how long a start takes, with its warm-up, and how long a pass: starts are
    /// to take no longer than passes, but `expected` passes are to meet three processes, where there are so many. `None` for one
    /// process alone.
    pub fn passes_a_process(self, start: Duration, pass: Duration, expected: usize) -> Option<usize> {
        match self {
            Self::One => None,
            Self::Each(passes) => Some(passes),
            Self::Open => {
                let dear = (start.as_secs_f64() / pass.as_secs_f64()).ceil() as usize;
                Some(dear.min(expected / LEAST_PROCESSES).max(1))
            }
        }
    }

    /// Settled, where it was open.
    pub fn settled(self, passes_a_process: usize) -> Self {
        if self == Self::Open { Self::Each(passes_a_process) } else { self }
    }

    /// Whether the pass of a number, counted from 0, goes to the same process as the one before it, as far as that is settled.
    pub fn stays_for(self, number: usize) -> bool {
        matches!(self, Self::Each(passes) if !number.is_multiple_of(passes))
    }

    /// Whether the pass of a number, counted from 0, is to have another process than the one before it.
    pub fn renews_for(self, number: usize) -> bool {
        matches!(self, Self::Each(passes) if number > 0 && number.is_multiple_of(passes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_comes_first() {
        for (instances, restart, expected) in [
            (None, None, Spread::Open),
            (None, Some(Restart::Never), Spread::One),
            (None, Some(Restart::Benchmark), Spread::One),
            (None, Some(Restart::Pass), Spread::Each(1)),
            (Some(1), Some(Restart::Pass), Spread::One),
            (Some(2), Some(Restart::Never), Spread::Each(3)),
            (Some(5), None, Spread::Each(1)),
            (Some(9), None, Spread::Each(1)),
        ] {
            assert_eq!(Spread::of(instances, restart, 5), expected, "{instances:?} {restart:?}");
        }
    }

    #[test]
    fn dear_starts_serve_several_passes() {
        let of = |start_s, pass_s, expected| {
            let [start, pass] = [start_s, pass_s].map(Duration::from_secs);
            Spread::Open.passes_a_process(start, pass, expected)
        };
        // Cheap ones one each; dear ones so many that they take no longer than passes; but three processes there are.
        assert_eq!([of(1, 10, 20), of(10, 10, 20), of(25, 10, 20), of(600, 10, 20)], [1, 1, 3, 6].map(Some));
        assert_eq!([of(600, 10, 5), of(600, 10, 2), of(600, 10, 0), of(600, 0, 9)], [1, 1, 1, 3].map(Some));
        assert_eq!(Spread::One.passes_a_process(Duration::ZERO, Duration::ZERO, 9), None);
        assert_eq!((Spread::Open.settled(3), Spread::One.settled(3)), (Spread::Each(3), Spread::One));
        assert_eq!([0, 1, 2, 3, 4].map(|n| Spread::Each(2).stays_for(n)), [false, true, false, true, false]);
        assert_eq!([0, 1, 2, 3, 4].map(|n| Spread::Each(2).renews_for(n)), [false, false, true, false, true]);
        assert!(!Spread::Open.renews_for(2) && !Spread::Open.stays_for(1) && !Spread::One.renews_for(1));
    }
}
