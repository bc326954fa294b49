use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::client::Record;

/// How many requests of a pass may fail before the rest of it is given up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureBudget {
    /// So many.
    Count(usize),
    /// So many of a hundred of the pass's prompts.
    Percent(f64),
}

impl Default for FailureBudget {
    fn default() -> Self {
        Self::Percent(10.0)
    }
}

impl FailureBudget {
    /// The most requests that may fail in a pass of so many.
    pub fn of(self, requests: usize) -> usize {
        match self {
            Self::Count(most) => most,
            Self::Percent(percent) => (percent * requests as f64 / 100.0) as usize,
        }
    }
}

/// The failed requests of one pass, and how many there may be. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct FailureLimit {
    budget: Option<FailureBudget>,
    /// How many there are, where that is known.
    requests: Option<usize>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    ended: AtomicUsize,
    failed: AtomicUsize,
}

/// A share of fewer is not judged while a pass goes on.
const LEAST_JUDGED: usize = 100;

impl FailureLimit {
    /// Of a pass of so many requests; of one that goes on for a time where that is `None`, whose share is that of the requests that have
    /// ended.
    pub fn new(budget: FailureBudget, requests: Option<usize>) -> Self {
        Self { budget: Some(budget), requests, counts: Arc::default() }
    }

    /// Counts a request that has ended; gives whether too many have failed.
    pub(super) fn note(&self, record: &Record) -> bool {
        let failed = usize::from(!record.is_completed());
        let ended = self.counts.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let failed = self.counts.failed.fetch_add(failed, Ordering::Relaxed) + failed;
        self.budget.is_some_and(|budget| failed > budget.of(self.requests.unwrap_or(LEAST_JUDGED).max(ended)))
    }

    /// Whether more of those that have ended failed than may, where it was not known before how many there would be.
    pub(super) fn are_exceeded(&self) -> bool {
        let [ended, failed] = [&self.counts.ended, &self.counts.failed].map(|count| count.load(Ordering::Relaxed));
        self.requests.is_none() && self.budget.is_some_and(|budget| failed > budget.of(ended))
    }
}

impl fmt::Display for FailureBudget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

impl FromStr for FailureBudget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is neither a number of requests nor a share such as 10%");
        match text.trim().strip_suffix('%') {
            None => text.trim().parse().map(Self::Count).map_err(|_| error()),
            Some(percent) => match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Percent(percent)),
                _ => Err(error()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Failure, FailureClass};

    #[test]
    fn a_limit_counts_failures_alone() {
        let ended = |ok: bool| {
            let mut record = Record::new(0, 1, 1);
            record.outcome = if ok { Ok(()) } else { Err(Failure::new(FailureClass::Empty, "x")) };
            record
        };
        let limit = FailureLimit::new(FailureBudget::Count(2), Some(9));
        let note = |ok| limit.clone().note(&ended(ok));
        assert_eq!(
            [false, true, false, true, false, true, false].map(note),
            [false, false, false, false, true, true, true]
        );
        let no_failure = || FailureLimit::new(FailureBudget::Percent(0.0), None);
        assert!(no_failure().note(&ended(false)) && !no_failure().note(&ended(true)));
        // Of ten in a hundred, and of how many there are in the end.
        let timed = FailureLimit::new(FailureBudget::Percent(10.0), None);
        assert!((0..10).all(|_| !timed.note(&ended(false))) && timed.are_exceeded());
        assert!((0..90).all(|_| !timed.note(&ended(true))) && !timed.are_exceeded());
        assert!(timed.note(&ended(false)) && timed.are_exceeded());
        // The one that has just ended is one of them.
        let timed = FailureLimit::new(FailureBudget::Percent(10.0), None);
        assert!((0..110).all(|i| !timed.note(&ended(i < 99))));
        let none = FailureLimit::default();
        assert!((0..9).all(|_| !none.note(&ended(false))));
    }

    #[test]
    fn counts_and_shares() {
        let most = |text: &str, prompts| text.parse::<FailureBudget>().map(|budget| budget.of(prompts));
        assert_eq!(most("7", 2000), Ok(7));
        assert_eq!(most("0", 2000), Ok(0));
        assert_eq!(most("5%", 2000), Ok(100));
        assert_eq!(most(" 12.5 % ", 9), Ok(1));
        assert_eq!(most("100%", 3), Ok(3));
        assert_eq!(most("29%", 100), Ok(29));
        assert_eq!("29%".parse().map(|budget: FailureBudget| budget.to_string()), Ok("29 %".to_owned()));
        for bad in ["", "x", "-1", "101%", "%", "0.5"] {
            assert!(most(bad, 1).unwrap_err().contains("neither a number of requests nor a share"), "{bad}");
        }
    }
}
