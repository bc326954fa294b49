//! Whether a run passes its gate: docs/ci.md has the table.

use std::fmt;

use crate::{
    config::FailOn,
    run::{Comparison, Report},
    stats::Verdict,
};

/// What kept a run from passing, each with its benchmark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    regressed: Vec<String>,
    unmeasured: Vec<String>,
    not_comparable: Vec<String>,
    inconclusive: Vec<String>,
}

impl Gate {
    /// Of a run's reports, whose comparisons are settled.
    pub fn of(reports: &[Report], fail_on: &[FailOn]) -> Self {
        let mut gate = Self::default();
        for (id, comparison) in reports.iter().filter_map(|report| Some((&report.id, report.comparison.as_ref()?))) {
            gate.add(id, comparison, fail_on);
        }
        gate
    }

    fn add(&mut self, id: &str, comparison: &Comparison, fail_on: &[FailOn]) {
        let named = |metric: &str| format!("{id} {metric}");
        if fail_on.contains(&FailOn::Regression) {
            self.regressed.extend(comparison.regressions().map(|metric| named(&metric)));
            self.unmeasured.extend(comparison.unmeasured.iter().map(|metric| named(metric)));
        }
        if fail_on.contains(&FailOn::NotComparable) && comparison.another_question {
            self.not_comparable.push(id.to_owned());
        }
        if fail_on.contains(&FailOn::Inconclusive) {
            self.inconclusive.extend(comparison.gated(Verdict::Inconclusive).map(|metric| named(&metric.to_string())));
        }
    }

    /// Whether nothing was found.
    pub fn passes(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parts = [
            ("regressed", &self.regressed),
            ("could not be compared", &self.unmeasured),
            ("not comparable", &self.not_comparable),
            ("inconclusive", &self.inconclusive),
        ];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<String> = parts.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        f.write_str(&parts.join("; "))
    }
}
