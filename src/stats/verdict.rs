use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::Better;

/// What a comparison says of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Worse by more than the noise threshold.
    Regressed,
    /// Better by more than the noise threshold.
    Improved,
    /// Shown to lie within the noise threshold: an equivalence, not a failure to find.
    NoChange,
    /// None of these can be said.
    Inconclusive,
}

impl Verdict {
    /// From the two tests of a change: `p_beyond`, corrected for all comparisons made together, and `p_within`.
    pub fn of(change: f64, better: Better, p_beyond: f64, p_within: f64, significance_level: f64) -> Self {
        let is_better = match better {
            Better::Higher => change > 0.0,
            Better::Lower => change < 0.0,
        };
        match (p_beyond < significance_level, p_within < significance_level) {
            (true, _) if is_better => Self::Improved,
            (true, _) => Self::Regressed,
            (false, true) => Self::NoChange,
            (false, false) => Self::Inconclusive,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::NoChange => "no change",
            Self::Inconclusive => "inconclusive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_follow_from_the_two_tests() {
        use Better::{Higher, Lower};
        let table = [
            (0.1, Higher, 0.01, 0.9, "improved"),
            (-0.1, Higher, 0.01, 0.9, "regressed"),
            (0.1, Lower, 0.01, 0.9, "regressed"),
            (-0.1, Lower, 0.01, 0.9, "improved"),
            (0.1, Higher, 0.9, 0.01, "no change"),
            (0.1, Higher, 0.9, 0.9, "inconclusive"),
            // Only what lies below the level counts.
            (0.1, Higher, 0.05, 0.9, "inconclusive"),
            (0.1, Higher, 0.9, 0.05, "inconclusive"),
        ];
        for (change, better, p_beyond, p_within, expected) in table {
            let verdict = Verdict::of(change, better, p_beyond, p_within, 0.05);
            assert_eq!(verdict.to_string(), expected, "{change} {better:?} {p_beyond} {p_within}");
        }
    }
}
