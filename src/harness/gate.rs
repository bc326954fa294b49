//! Whether a run passes its gate: docs/ci.md has the table.

use std::fmt;

use crate::{
    config::FailOn,
    run::{Boundary, Comparison, Moved, Report},
    stats::{Judged, State, Verdict},
};

/// What kept a run from passing, each with its benchmark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    found: Vec<(Kind, String)>,
}

/// Of what there can be several, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Regressed,
    Unmeasured,
    NotComparable,
    Inconclusive,
    Missed,
    NotJudged,
    Undecided,
}

impl Kind {
    const ALL: [(Self, &str); 7] = [
        (Self::Regressed, "regressed"),
        (Self::Unmeasured, "could not be compared"),
        (Self::NotComparable, "not comparable"),
        (Self::Inconclusive, "inconclusive"),
        (Self::Missed, "missed"),
        (Self::NotJudged, "could not be judged"),
        (Self::Undecided, "undecided"),
    ];

    /// Which of `--fail-on` it fails.
    fn fails(self) -> FailOn {
        match self {
            Self::Regressed | Self::Unmeasured => FailOn::Regression,
            Self::NotComparable => FailOn::NotComparable,
            Self::Inconclusive | Self::Undecided => FailOn::Inconclusive,
            // A gate that lets everything pass because it looks at nothing is none.
            Self::Missed | Self::NotJudged => FailOn::Objective,
        }
    }
}

impl Gate {
    /// Of a run's reports, whose comparisons are settled.
    pub fn of(reports: &[Report], fail_on: &[FailOn]) -> Self {
        let mut gate = Self::default();
        for report in reports {
            if let Some(comparison) = &report.comparison {
                gate.add_comparison(&report.id, comparison);
            }
            match &report.boundary {
                None => report.objectives.iter().for_each(|judged| gate.add_objective(&report.id, judged)),
                Some(boundary) => gate.add_boundary(&report.id, boundary),
            }
        }
        gate.found.retain(|(kind, _)| fail_on.contains(&kind.fails()));
        gate
    }

    fn add_comparison(&mut self, id: &str, comparison: &Comparison) {
        let mut add = |kind, metric: &str| self.found.push((kind, format!("{id} {metric}")));
        comparison.regressions().for_each(|metric| add(Kind::Regressed, &metric));
        comparison.unmeasured.iter().for_each(|metric| add(Kind::Unmeasured, metric));
        comparison.gated(Verdict::Inconclusive).for_each(|metric| add(Kind::Inconclusive, &metric.to_string()));
        if comparison.another_question {
            self.found.push((Kind::NotComparable, id.to_owned()));
        }
    }

    fn add_objective(&mut self, id: &str, judged: &Judged) {
        let kind = match (judged.state, &judged.why_not) {
            (State::Met, _) => return,
            (State::Missed, _) => Kind::Missed,
            (State::Undecided, Some(_)) => Kind::NotJudged,
            (State::Undecided, None) => Kind::Undecided,
        };
        self.found.push((kind, format!("{id} {}", judged.objective)));
    }

    /// A boundary that moved down is a regression; one at which nothing holds misses its objectives.
    fn add_boundary(&mut self, id: &str, boundary: &Boundary) {
        if boundary.highest_met.is_none() {
            let kind = if boundary.lowest_missed.is_some() { Kind::Missed } else { Kind::Undecided };
            self.found.push((kind, format!("{id} at any {}", boundary.searched)));
        }
        let kind = match boundary.comparison.as_ref().map(|change| change.verdict) {
            Some(Moved::Down) => Kind::Regressed,
            Some(Moved::NotComparable) => Kind::NotComparable,
            Some(Moved::Undecided) => Kind::Inconclusive,
            Some(Moved::Up | Moved::Same) | None => return,
        };
        self.found.push((kind, id.to_owned()));
    }

    /// Whether nothing was found.
    pub fn passes(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether nothing was found but objectives that are missed or could not be judged.
    pub fn is_of_objectives(&self) -> bool {
        !self.passes() && self.found.iter().all(|(kind, _)| kind.fails() == FailOn::Objective)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parts = Kind::ALL.iter().filter_map(|(kind, what)| {
            let of_kind = self.found.iter().filter(|(found, _)| found == kind);
            let names: Vec<&str> = of_kind.map(|(_, name)| name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
        });
        f.write_str(&parts.collect::<Vec<String>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::samples::{comparison, report};

    #[test]
    fn objectives_have_an_exit_code_of_their_own() {
        let with = |state: &str, why_not: Option<&str>, regressed: bool, fail_on: &[FailOn]| {
            let report = report(|r| {
                r["objectives"] = json!([{
                    "objective": "rps > 2", "state": state, "point": 1.0, "lower": null, "upper": null, "limit": 2.0, "unit": "1/s",
                    "why_not": why_not
                }]);
                if regressed {
                    r["comparison"] = comparison(&["rpm"]);
                }
            });
            let gate = Gate::of(&[report], fail_on);
            (gate.to_string(), gate.passes(), gate.is_of_objectives())
        };
        let (objective, inconclusive, regression) = (FailOn::Objective, FailOn::Inconclusive, FailOn::Regression);
        let passes = (String::new(), true, false);
        for (state, why_not, fail_on, expected) in [
            ("met", None, &[objective, inconclusive][..], passes.clone()),
            ("missed", None, &[regression, inconclusive], passes.clone()),
            ("missed", None, &[objective], ("missed: a/c1 rps > 2".to_owned(), false, true)),
            ("undecided", None, &[objective], passes),
            ("undecided", None, &[inconclusive], ("undecided: a/c1 rps > 2".to_owned(), false, false)),
            ("undecided", Some("x"), &[objective], ("could not be judged: a/c1 rps > 2".to_owned(), false, true)),
        ] {
            assert_eq!(with(state, why_not, false, fail_on), expected, "{state} {fail_on:?}");
        }
        // A regression outranks it.
        let both = ("could not be compared: a/c1 rpm; missed: a/c1 rps > 2".to_owned(), false, false);
        assert_eq!(with("missed", None, true, &[objective, regression]), both);
    }
}
