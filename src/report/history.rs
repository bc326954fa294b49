//! The history on the terminal: a line a commit, the metric, its interval, and the verdict against the one before.

use std::io::{self, Write};

use super::{
    boundary::bracket,
    numbers::{estimated, percent},
    verdicts::verdict_words,
};
use crate::{
    metrics::{Better, Metric},
    run::{BoundaryChange, Comparison, Report},
};

/// A line of the listing.
pub struct Listed<'a> {
    /// The run.
    pub run: &'a Report,
    /// With the run listed before it.
    pub comparison: Option<Comparison>,
}

/// Prints one benchmark's runs, the oldest first.
///
/// # Errors
/// Where `out` fails.
pub fn print_history(out: &mut impl Write, benchmark: &str, metric: Metric, runs: &[Listed]) -> io::Result<()> {
    let unit = metric.quantity().unit_in_words;
    let better = match metric.better() {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    };
    writeln!(out, "{benchmark}: {metric}, {unit}, {better}")?;
    for Listed { run, comparison } in runs {
        let verdict = comparison.as_ref().map_or_else(String::new, |comparison| verdict(metric, comparison));
        let line = [commit(run), date(run).to_owned(), value(run, metric), verdict];
        writeln!(out, "  {}", line.join(" ").trim_end())?;
    }
    writeln!(out)
}

/// Prints the most load that held in each of a search's runs, the oldest first, beside the one before.
///
/// # Errors
/// Where `out` fails.
pub fn print_boundaries(
    out: &mut impl Write,
    benchmark: &str,
    runs: &[(&Report, Option<BoundaryChange>)],
) -> io::Result<()> {
    let unit = runs.iter().find_map(|(run, _)| run.boundary.as_ref()).map_or("", |boundary| boundary.searched.unit());
    writeln!(out, "{benchmark}: {unit}, the highest that held and the lowest that did not, higher is better")?;
    for (run, change) in runs {
        let Some(boundary) = &run.boundary else { continue };
        let moved = change.as_ref().map_or_else(String::new, |change| change.verdict.to_string());
        let line = [commit(run), date(run).to_owned(), bracket(boundary), moved];
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
    estimated(run.estimates.get(&metric), "")
}

fn verdict(metric: Metric, comparison: &Comparison) -> String {
    match comparison.metrics.get(&metric) {
        Some(change) => format!("{} {}", percent(change.change), verdict_words(change.verdict, comparison)),
        None if comparison.comparable => "not measured".to_owned(),
        None => "not comparable".to_owned(),
    }
}
