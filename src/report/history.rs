//! The history on the terminal: a line a commit, the metric, its interval, and the verdict against the one before.

use std::io::{self, Write};

use super::{
    Report, Style,
    console::{rate, time_estimate},
    verdicts::percent,
};
use crate::{
    baseline::Baseline,
    compare::{Comparison, Terms},
    stats::{Better, Metric},
};

/// Prints one benchmark's runs, the oldest first; of the runs made one after another at the same commit, the last alone,
/// unless the style is verbose. Each is compared with the line before it. The listing looks at one metric, and corrects for
/// no others.
///
/// # Errors
/// Where `out` fails.
pub fn print_history(
    out: &mut impl Write,
    benchmark: &str,
    runs: &[Report],
    metric: Metric,
    terms: &Terms,
    style: Style,
) -> io::Result<()> {
    let terms = Terms { gate: vec![metric], ..terms.clone() };
    let unit = match metric {
        Metric::Rpm => "requests/min",
        Metric::OutputTokensPerS | Metric::TotalTokensPerS => "tokens/s",
        Metric::Latency(..) => "time",
    };
    let better = match metric.better() {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    };
    writeln!(out, "{benchmark}: {metric}, {unit}, {better}")?;
    let same = |a: &Report, b: &Report| a.commit.is_some() && a.commit == b.commit;
    let is_shown = |i: usize| style.verbose || runs.get(i + 1).is_none_or(|next| !same(&runs[i], next));
    let shown: Vec<&Report> = (0..runs.len()).filter(|&i| is_shown(i)).map(|i| &runs[i]).collect();
    for (i, run) in shown.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| shown[before]);
        let line = [commit(run), date(run).to_owned(), value(run, metric), verdict(run, before, metric, &terms)];
        writeln!(out, "  {}", line.join(" ").trim_end())?;
    }
    writeln!(out)
}

/// `0123abcd`, with a `+` for uncommitted changes.
fn commit(run: &Report) -> String {
    let text = run.commit.as_ref().map_or_else(
        || "-".to_owned(),
        |commit| format!("{}{}", commit.sha.get(..8).unwrap_or(&commit.sha), if commit.dirty { "+" } else { "" }),
    );
    format!("{text:<9}")
}

fn date(run: &Report) -> &str {
    run.started_at.get(..10).unwrap_or(&run.started_at)
}

fn value(run: &Report, metric: Metric) -> String {
    let estimate = run.estimates.get(&metric.to_string());
    if metric.unit() == "s" { time_estimate(estimate) } else { rate(estimate, "") }
}

fn verdict(run: &Report, before: Option<&Report>, metric: Metric, terms: &Terms) -> String {
    let Some(before) = before else { return String::new() };
    let baseline = Baseline { name: String::new(), report: before.clone(), note: None };
    let comparison = Comparison::of(run, &baseline, None, terms);
    match comparison.metrics.get(&metric.to_string()) {
        Some(change) => format!("{} {}", percent(change.change), change.verdict),
        None if comparison.comparable => "not measured".to_owned(),
        None => "not comparable".to_owned(),
    }
}
