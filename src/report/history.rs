//! The history on the terminal: a line a commit, the metric, its interval, and the verdict against the one before; and a line where the
//! level changes.

use std::io::{self, Write};

use super::{
    boundary::bracket,
    numbers::{amount, change_of_level, estimated, p_value, percent},
    verdicts::verdict_words,
};
use crate::{
    metrics::{Better, Metric},
    run::{BoundaryChange, Commit, Comparison, Report, Trend},
    stats::LevelChange,
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
pub fn print_history(
    out: &mut impl Write,
    benchmark: &str,
    trend: Option<&Trend>,
    metric: Metric,
    runs: &[Listed],
) -> io::Result<()> {
    let unit = metric.quantity().unit_in_words;
    let better = match metric.better() {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    };
    writeln!(out, "{benchmark}: {metric}, {unit}, {better}")?;
    let mut changes = Changes::of(trend);
    for Listed { run, comparison } in runs {
        changes.print_up_to(out, run)?;
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
    trend: Option<&Trend>,
    runs: &[(&Report, Option<BoundaryChange>)],
) -> io::Result<()> {
    let unit = runs.iter().find_map(|(run, _)| run.boundary.as_ref()).map_or("", |boundary| boundary.searched.unit());
    writeln!(out, "{benchmark}: {unit}, the highest that held and the lowest that did not, higher is better")?;
    let mut changes = Changes::of(trend);
    for (run, change) in runs {
        changes.print_up_to(out, run)?;
        let Some(boundary) = &run.boundary else { continue };
        let moved = change.as_ref().map_or_else(String::new, |change| change.verdict.to_string());
        let line = [commit(run), date(run).to_owned(), bracket(boundary), moved];
        writeln!(out, "  {}", line.join(" ").trim_end())?;
    }
    writeln!(out)
}

/// The changes of level that were not printed yet.
struct Changes<'a> {
    /// With the start of the first run, and whose they are where that is not the newest series.
    all: Vec<(&'a str, LevelChange, String)>,
    unit: &'static str,
}

impl<'a> Changes<'a> {
    fn of(trend: Option<&'a Trend>) -> Self {
        let of_series = trend.into_iter().flat_map(|trend| &trend.series).flat_map(|series| {
            let apart = series.apart_by.join("; ");
            let whose = if apart.is_empty() { apart } else { format!(" [{apart}]") };
            series
                .changes
                .iter()
                .map(move |change| (series.points[change.at].started_at.as_str(), *change, whose.clone()))
        });
        let mut all: Vec<(&str, LevelChange, String)> = of_series.collect();
        all.sort_by_key(|(started_at, ..)| *started_at);
        Self { all, unit: trend.and_then(|trend| trend.metric).map_or("", |metric| metric.unit()) }
    }

    /// Before the line of a run: those that began with it, or with one that is not listed before it.
    fn print_up_to(&mut self, out: &mut impl Write, run: &Report) -> io::Result<()> {
        let due = self.all.iter().take_while(|(started_at, ..)| *started_at <= run.started_at.as_str()).count();
        for (_, change, whose) in self.all.drain(..due) {
            let [before, after] = [change.before, change.after].map(|level| amount(level, self.unit));
            let (p, change) = (p_value(change.p_value), change_of_level(&change));
            writeln!(out, "  -- the level changes: {before} before, {after} after, {change} (p {p}){whose}")?;
        }
        Ok(())
    }
}

fn commit(run: &Report) -> String {
    format!("{:<9}", run.commit.as_ref().map_or_else(|| "-".to_owned(), Commit::short))
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
