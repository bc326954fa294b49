//! Markdown for a pull request or a job's summary: what was measured, and the verdicts, in tables.

use std::io::{self, Write, stdout};

use super::{
    block::Style,
    boundary::boundary_lines,
    numbers::{Time, count, estimated, grouped, percent},
    objectives::{explanation, measured},
    output::Output,
    sink::*,
    sweep::sweeps,
    verdicts::{tell_verdicts, verdict_words},
};
use crate::{
    metrics::{Metric, PassMetrics},
    run::{Comparison, Design, MetricChange, Moved, Report},
    stats::{State, Verdict},
};

struct Markdown {
    output: Output,
    /// The other sides of benchmarks that were measured in turn.
    beside: Vec<Report>,
    partial: Vec<String>,
}

/// One document, when all benchmarks are done.
pub(super) fn sink(outputs: &Outputs) -> Box<dyn Sink> {
    Box::new(Markdown { output: outputs.output, beside: Vec::new(), partial: Vec::new() })
}

impl Sink for Markdown {
    fn beside(&mut self, report: &Report) -> Result<(), SinkError> {
        self.beside.push(report.clone());
        Ok(())
    }

    fn partial(&mut self, report: &Report) -> Result<(), SinkError> {
        self.partial.push(report.id.clone());
        Ok(())
    }

    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        let printed = print_markdown(&mut stdout().lock(), reports, &self.beside, &self.partial);
        tell_verdicts(reports, self.output);
        Ok(printed?)
    }
}

/// Prints the document.
fn print_markdown(out: &mut impl Write, reports: &[Report], beside: &[Report], partial: &[String]) -> io::Result<()> {
    writeln!(out, "### {}\n", title(reports, partial))?;
    let compared: Vec<(&Report, &Comparison)> =
        reports.iter().filter_map(|report| Some((report, report.comparison.as_ref()?))).collect();
    if !compared.is_empty() {
        writeln!(out, "| benchmark | metric | verdict | change | interval |\n|---|---|---|---:|---|")?;
        for (report, comparison) in &compared {
            if !comparison.comparable {
                writeln!(
                    out,
                    "| {} | | not comparable | | {} |",
                    cell(&report.id),
                    cell(&comparison.why_not.join("; "))
                )?;
            }
            if comparison.failures.as_ref().is_some_and(|failures| failures.regressed) {
                writeln!(out, "| {} | failed | **regressed** | | |", cell(&report.id))?;
            }
            for metric in Metric::all() {
                let Some(change) = comparison.metrics.get(&metric).filter(|change| change.gated) else { continue };
                let id = cell(&report.id);
                let (verdict, by) = (verdict(change, comparison), percent(change.change));
                writeln!(out, "| {id} | {metric} | {verdict} | {by} | {} |", interval(change))?;
            }
        }
        writeln!(out)?;
        for (report, comparison) in &compared {
            let turns = match comparison.design {
                Design::Interleaved => "in turn with",
                Design::Apart => "against",
            };
            let commit = comparison.baseline_commit.as_ref().and_then(|commit| commit.sha.get(..8));
            let commit = commit.map_or_else(String::new, |sha| format!(" ({sha})"));
            let pairs = count(comparison.pairs, "pair", "pairs");
            let baseline = cell(&comparison.baseline);
            writeln!(out, "- {}: {turns} {baseline}{commit}, {pairs} of passes", cell(&report.id))?;
            let held = comparison.held_back.iter().map(|why| format!("no verdict, because of the cache: {why}"));
            for remark in held.chain(comparison.warnings.iter().map(|warning| format!("warning: {warning}"))) {
                writeln!(out, "  - {}", cell(&remark))?;
            }
        }
        writeln!(out)?;
    }
    if reports.iter().any(|report| !report.objectives.is_empty()) {
        writeln!(out, "| benchmark | objective | | measured | |\n|---|---|---|---|---|")?;
        for report in reports {
            for judged in &report.objectives {
                let state = match judged.state {
                    State::Met => judged.state.to_string(),
                    State::Missed | State::Undecided => format!("**{}**", judged.state),
                };
                let (id, objective, measured) = (cell(&report.id), cell(&judged.objective), cell(&measured(judged)));
                let why = cell(&explanation(judged, report.passes.len()).unwrap_or_default());
                writeln!(out, "| {id} | {objective} | {state} | {measured} | {why} |")?;
            }
        }
        writeln!(out)?;
    }
    let searched = || reports.iter().filter_map(|report| Some((report, report.boundary.as_ref()?)));
    if searched().next().is_some() {
        writeln!(out, "| benchmark | highest load that holds | compared with the baseline |\n|---|---|---|")?;
        for (report, boundary) in searched() {
            let lines = boundary_lines(boundary, Style::default());
            let holds = lines.first().map_or("", String::as_str);
            let moved = boundary.comparison.as_ref().map_or_else(String::new, |change| match change.verdict {
                Moved::Same => change.verdict.to_string(),
                verdict => format!("**{verdict}**"),
            });
            writeln!(out, "| {} | {} | {moved} |", cell(&report.id), cell(holds))?;
        }
        writeln!(out)?;
    }
    let swept = sweeps(reports);
    if !swept.is_empty() {
        writeln!(out, "| sweep | loads | knee | objectives |\n|---|---|---|---|")?;
        for sweep in &swept {
            let (knee, objectives) = (sweep.knee().unwrap_or_default(), sweep.objectives().unwrap_or_default());
            writeln!(out, "| {} | {} | {knee} | {} |", cell(sweep.name), sweep.ends(), cell(&objectives))?;
        }
        writeln!(out)?;
    }
    if !reports.is_empty() {
        writeln!(out, "| benchmark | rpm | output tokens/s | TTFT p50 | TTFT p99 | TPOT p50 | E2E p50 | failed |")?;
        writeln!(out, "|---|---|---|---|---|---|---|---:|")?;
    }
    // Each side beside the other.
    for report in reports {
        for side in std::iter::once(report).chain(beside.iter().filter(|other| other.id == report.id)) {
            let of = |name: &str| side.estimate(name);
            let on = side.server.name.as_ref().map_or_else(String::new, |name| format!(" on {name}"));
            let failed: usize = side.passes.iter().map(|pass: &PassMetrics| pass.failed).sum();
            let point = |name: &str| of(name).map_or_else(|| "-".to_owned(), |e| Time(e.point).to_string());
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                cell(&format!("{}{on}", side.id)),
                estimated(of("rpm"), ""),
                estimated(of("output_tokens_per_s"), ""),
                estimated(of("ttft_p50"), ""),
                point("ttft_p99"),
                point("tpot_p50"),
                estimated(of("e2e_p50"), ""),
                grouped(failed as u64),
            )?;
        }
    }
    Ok(())
}

/// What it comes to, in one line.
fn title(reports: &[Report], partial: &[String]) -> String {
    let with = |verdict: Verdict| {
        let found = reports.iter().filter_map(|report| report.comparison.as_ref());
        found.map(|comparison| comparison.gated(verdict).count()).sum::<usize>()
    };
    let failed = reports.iter().filter_map(|report| report.comparison.as_ref()?.failures.as_ref());
    let regressed = with(Verdict::Regressed) + failed.filter(|failures| failures.regressed).count();
    let in_state = |state: State| {
        reports.iter().flat_map(|report| &report.objectives).filter(|judged| judged.state == state).count()
    };
    let mut parts = Vec::new();
    for (n, word) in [
        (regressed, "regressed"),
        (with(Verdict::Improved), "improved"),
        (with(Verdict::NoChange), "not changed"),
        (with(Verdict::Inconclusive), "inconclusive"),
        (in_state(State::Met), "met"),
        (in_state(State::Missed), "missed"),
        (in_state(State::Undecided), "undecided"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    if !partial.is_empty() {
        parts.push(format!("ended early: {}", cell(&partial.join(", "))));
    }
    match parts.is_empty() {
        true => count(reports.len(), "benchmark", "benchmarks"),
        false => parts.join(", "),
    }
}

fn verdict(change: &MetricChange, comparison: &Comparison) -> String {
    let words = verdict_words(change.verdict, comparison);
    match change.verdict {
        Verdict::Regressed | Verdict::Improved => format!("**{words}**"),
        Verdict::NoChange | Verdict::Inconclusive => words,
    }
}

fn interval(change: &MetricChange) -> String {
    match change.lower.zip(change.upper) {
        Some((lower, upper)) => format!("{} to {}", percent(lower), percent(upper)),
        None => "-".to_owned(),
    }
}

/// What ends neither a cell nor a line, and is no markup.
fn cell(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let backslash = matches!(c, '|' | '*' | '_' | '`' | '<' | '[' | '\\').then_some('\\');
        backslash.into_iter().chain([if c == '\n' { ' ' } else { c }])
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_no_markup() {
        assert_eq!(cell("a|b\nc_d <e>"), "a\\|b c\\_d \\<e>");
    }
}
