//! The history on the terminal: a line a commit, the metric, its interval, and the verdict against the one before.

use std::io::{self, Write};

use super::{
    Report, Style,
    console::{rate, time_estimate},
    verdicts::{percent, verdict_words},
};
use crate::{
    baseline::Baseline,
    compare::{Calibration, Comparison, Terms},
    stats::{Better, Metric},
};

/// What a listing goes by.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// What is listed.
    pub metric: Metric,
    /// The gate among them.
    pub terms: &'a Terms,
    /// How far identical runs lie apart, where that is known.
    pub calibration: Option<&'a Calibration>,
}

/// Prints one benchmark's runs, the oldest first; of the runs made one after another at the same commit, the last alone,
/// unless the style is verbose. Each is compared with the line before it: where the run itself was, with the verdict that it
/// was given, and otherwise by the same rules, which correct for the whole gate.
///
/// # Errors
/// Where `out` fails.
pub fn print_history(
    out: &mut impl Write,
    benchmark: &str,
    runs: &[Report],
    judge: Judge,
    style: Style,
) -> io::Result<()> {
    let metric = judge.metric;
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
        let line = [commit(run), date(run).to_owned(), value(run, metric), verdict(run, before, judge)];
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

fn verdict(run: &Report, before: Option<&Report>, judge: Judge) -> String {
    let Some(before) = before else { return String::new() };
    let own = run.comparison.as_ref().filter(|comparison| comparison.baseline_started_at == before.started_at);
    let own = own.filter(|comparison| comparison.metrics.contains_key(&judge.metric.to_string()));
    let comparison = own.cloned().unwrap_or_else(|| {
        let baseline = Baseline { name: String::new(), report: before.clone(), note: None };
        let mut terms = judge.terms.clone();
        if !terms.gate.contains(&judge.metric) {
            terms.gate.push(judge.metric);
        }
        Comparison::of(run, &baseline, judge.calibration, &terms)
    });
    match comparison.metrics.get(&judge.metric.to_string()) {
        Some(change) => format!("{} {}", percent(change.change), verdict_words(change.verdict, &comparison)),
        None if comparison.comparable => "not measured".to_owned(),
        None => "not comparable".to_owned(),
    }
}
