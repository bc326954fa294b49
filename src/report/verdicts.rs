//! The comparison on the console: change lines in a benchmark's block, and the verdicts when all benchmarks are done.

use std::io::{self, Write, stderr};

use super::{
    block::{INDENT, Style, WIDTH, paint, wrapped, write_block},
    numbers::{change_of, percent, share},
    output::Output,
};
use crate::{
    metrics::{Metric, Point},
    run::{Calibration, Comparison, Design, MetricChange, Report},
    stats::Verdict,
};

/// The lines `change: [lower estimate upper] (p = …)` of those gated metrics that belong to a line of the block, as
/// criterion words them.
pub(super) fn change_lines<'a>(
    comparison: &'a Comparison,
    belongs: &'a dyn Fn(Metric) -> bool,
) -> impl Iterator<Item = String> + 'a {
    compared(comparison).filter(|(metric, change)| change.gated && belongs(*metric)).map(move |(metric, change)| {
        let point = metric.point().map_or_else(String::new, |point| format!("{} ", Point::name(point)));
        let ends = change.lower.zip(change.upper);
        let interval = change_of(change.change, ends);
        match change.p_value.filter(|_| ends.is_some()) {
            Some(p) => {
                // What identical runs differ by is in no p-value of theirs.
                let p = match p {
                    _ if comparison.provisional => String::new(),
                    p if p < 0.01 => " (p < 0.01)".to_owned(),
                    p => format!(" (p = {p:.2})"),
                };
                format!("change: {point}{interval}{p}")
            }
            None => format!("change: {point}{interval}"),
        }
    })
}

/// Prints the verdicts of a run's benchmarks.
///
/// # Errors
/// Where `out` fails.
pub fn print_verdicts(out: &mut impl Write, reports: &[Report], style: Style) -> io::Result<()> {
    for report in reports {
        let Some(comparison) = &report.comparison else { continue };
        let mut lines = wrapped(&against(comparison), WIDTH - INDENT);
        if !comparison.comparable {
            lines.push(paint("not comparable", "\x1b[33m", style));
            lines.extend(comparison.why_not.iter().flat_map(|why| wrapped(why, WIDTH - INDENT)));
        }
        lines.extend(failure_line(comparison, style));
        if let Some(why) = &comparison.held_back {
            let way_out = "--cache-bust keeps prompts out of the cache";
            lines.extend(wrapped(&format!("no verdict, because of the cache: {why}; {way_out}"), WIDTH - INDENT));
        }
        if !comparison.unmeasured.is_empty() {
            let what = comparison.unmeasured.join(", ");
            lines.extend(wrapped(&format!("gated, but could not be compared: {what}"), WIDTH - INDENT));
        }
        for (metric, change) in compared(comparison).filter(|(_, change)| change.gated) {
            lines.push(verdict_line(metric, change, comparison, style));
            let explanation = explanation(change, comparison);
            lines.extend(
                explanation.iter().flat_map(|line| wrapped(line, WIDTH - INDENT - 2)).map(|l| format!("  {l}")),
            );
        }
        let verdicts = [Verdict::Regressed, Verdict::Improved, Verdict::NoChange, Verdict::Inconclusive];
        for verdict in verdicts.into_iter().filter(|verdict| style.verbose || is_change(*verdict)) {
            let others = families(comparison, verdict);
            if !others.is_empty() {
                lines.extend(wrapped(&format!("not gated, {verdict}: {}", others.join(", ")), WIDTH - INDENT));
            }
        }
        if comparison.comparable {
            lines.extend(wrapped(&basis(comparison), WIDTH - INDENT));
        }
        let warnings = comparison.warnings.iter().map(|warning| format!("warning: {warning}"));
        lines.extend(warnings.flat_map(|warning| wrapped(&warning, WIDTH - INDENT)));
        write_block(out, &report.id, &lines, style)?;
    }
    Ok(())
}

/// Prints the verdicts on stderr, where stdout belongs to another program.
pub(super) fn tell_verdicts(reports: &[Report], output: Output) {
    if !output.quiet {
        // With stderr closed there is nobody to tell.
        _ = print_verdicts(&mut stderr().lock(), reports, output.style);
    }
}

/// Prints how far identical runs lay apart: the gated metrics, or all of them for a verbose style.
///
/// # Errors
/// Where `out` fails.
pub fn print_calibration(
    out: &mut impl Write,
    calibration: &Calibration,
    gate: &[Metric],
    style: Style,
) -> io::Result<()> {
    let mut lines = vec!["identical runs may differ by this much here:".to_owned()];
    for metric in Metric::all().filter(|metric| style.verbose || gate.contains(metric)) {
        if let Some(floor) = calibration.noise_floors.get(&metric) {
            lines.push(format!("{metric:<20} {}", share(*floor)));
        }
    }
    let (pairs, level) = (calibration.pairs, calibration.confidence_level * 100.0);
    let mut basis = format!("{pairs} pairs of passes: the far end of the {level} % interval of their difference");
    if calibration.calibrations > 1 {
        basis += &format!(", and the greatest of {} calibrations", calibration.calibrations);
    }
    lines.extend(wrapped(&basis, WIDTH - INDENT));
    write_block(out, &calibration.run.id, &lines, style)
}

fn compared(comparison: &Comparison) -> impl Iterator<Item = (Metric, &MetricChange)> {
    Metric::all().filter_map(|metric| Some((metric, comparison.metrics.get(&metric)?)))
}

fn is_change(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Regressed | Verdict::Improved)
}

/// The metrics that do not decide and have that verdict, the points of one latency together: `tpot +9.13% to +9.26%`.
fn families(comparison: &Comparison, verdict: Verdict) -> Vec<String> {
    let mut families: Vec<(&str, f64, f64)> = Vec::new();
    for (metric, change) in compared(comparison).filter(|(_, change)| !change.gated && change.verdict == verdict) {
        let name = metric.quantity().name;
        match families.last_mut().filter(|(last, ..)| *last == name) {
            Some((_, least, most)) => (*least, *most) = (least.min(change.change), most.max(change.change)),
            None => families.push((name, change.change, change.change)),
        }
    }
    let text = |(name, least, most): (&str, f64, f64)| match percent(least) == percent(most) {
        true => format!("{name} {}", percent(least)),
        false => format!("{name} {} to {}", percent(least), percent(most)),
    };
    families.into_iter().map(text).collect()
}

fn against(comparison: &Comparison) -> String {
    let when = comparison.baseline_started_at.get(..16).unwrap_or(&comparison.baseline_started_at).replace('T', " ");
    let commit = comparison.baseline_commit.as_ref().map_or_else(String::new, |commit| {
        let dirty = if commit.dirty { " and changes" } else { "" };
        match commit.sha.get(..8).unwrap_or(&commit.sha) {
            // A baseline that was named by its commit has said so.
            sha if comparison.baseline.contains(sha) => dirty.to_owned(),
            sha => format!(", {sha}{dirty}"),
        }
    });
    format!("against {}{commit}, {when}", comparison.baseline)
}

/// More failed requests than chance explains are worth a line.
fn failure_line(comparison: &Comparison, style: Style) -> Option<String> {
    let failures = comparison.failures.as_ref().filter(|failures| failures.regressed)?;
    let share = |failed: u64, requests: u64| format!("{:.1} %", 100.0 * failed as f64 / requests.max(1) as f64);
    let (new, base) =
        (share(failures.failed, failures.requests), share(failures.baseline_failed, failures.baseline_requests));
    let verdict = paint("regressed", RED, style);
    Some(format!("{:<20} {verdict}  {new} of requests, {base} before", "failed"))
}

/// A verdict, and whether it is provisional, or of two servers in turn.
pub(super) fn verdict_words(verdict: Verdict, comparison: &Comparison) -> String {
    match (verdict, comparison.design) {
        (Verdict::Inconclusive, _) => verdict.to_string(),
        (_, Design::Interleaved) => format!("{verdict}, interleaved"),
        (_, Design::Apart) if comparison.provisional => format!("{verdict}, provisional"),
        (_, Design::Apart) => verdict.to_string(),
    }
}

const RED: &str = "\x1b[31m";

fn verdict_line(metric: Metric, change: &MetricChange, comparison: &Comparison, style: Style) -> String {
    let color = match change.verdict {
        Verdict::Regressed => RED,
        Verdict::Improved => "\x1b[32m",
        Verdict::NoChange => "",
        Verdict::Inconclusive => "\x1b[33m",
    };
    let verdict = paint(&format!("{:<13}", verdict_words(change.verdict, comparison)), color, style);
    format!("{metric:<20} {verdict} {}", percent(change.change))
}

/// A change beyond this, as a share, needs no benchmark to be found.
const MOST_DETECTABLE: f64 = 1.0;

/// What an inconclusive verdict leaves open.
fn explanation(change: &MetricChange, comparison: &Comparison) -> Vec<String> {
    if change.verdict != Verdict::Inconclusive || comparison.held_back.is_some() {
        return Vec::new();
    }
    let Some(detectable) = change.detectable_change else {
        return vec![match comparison.pairs {
            0 | 1 => "one pass cannot tell: use --sample-size 5".to_owned(),
            n => format!("{n} passes cannot tell: raise --time-budget"),
        }];
    };
    let alone = change.p_value.is_some_and(|p| p < comparison.significance_level);
    let mut lines = Vec::new();
    if alone {
        let together = comparison.compared_together;
        lines.push(format!("a change by itself, but not among {together} comparisons (Holm)"));
    }
    let passes = match change.passes_needed {
        Some(n) if n <= comparison.pairs => "one more pass may settle it".to_owned(),
        Some(n) => format!("{n} would settle it"),
        None if change.change.abs() > comparison.noise_threshold && change.change.abs() < change.threshold => {
            let what = match change.noise_floor {
                Some(floor) if floor >= change.threshold => "identical runs differ by",
                _ => "the client's or the machine's own speed differs by",
            };
            format!("it is within what {what}, and no number of passes would settle it")
        }
        None => "1,000 would not settle it".to_owned(),
    };
    let found = match detectable <= MOST_DETECTABLE {
        true => format!("{} passes can find {}", comparison.pairs, share(detectable)),
        false => format!("{} passes can find next to nothing", comparison.pairs),
    };
    lines.push(format!("{found}; {passes}"));
    lines
}

/// What the verdicts rest on.
pub(super) fn basis(comparison: &Comparison) -> String {
    let mut text = match comparison.pairs {
        1 => "1 pair of passes".to_owned(),
        n => format!("{n} pairs of passes"),
    };
    if let Some(n) = comparison.pairs_of_processes {
        text += &format!(" on {n} pairs of processes");
    }
    if comparison.sequential {
        text += ", as many as needed, which the intervals account for";
    }
    text += &format!("; changes up to {} are noise", share(comparison.noise_threshold));
    let floors = compared(comparison).filter(|(_, change)| change.gated).filter_map(|(metric, change)| {
        let floor = change.noise_floor.filter(|floor| *floor > comparison.noise_threshold)?;
        Some(format!("{} for {metric}", share(floor)))
    });
    let floors: Vec<String> = floors.collect();
    if !floors.is_empty() {
        text += &format!(", by calibration {}", floors.join(", "));
    }
    if comparison.compared_together > 1 {
        text += &format!("; corrected for {} comparisons (Holm)", comparison.compared_together);
    }
    text += match (comparison.design, comparison.processes) {
        (Design::Apart, _) => "",
        (Design::Interleaved, Some((a, b))) if a > 1 && b > 1 => "; measured in turn",
        (Design::Interleaved, Some(_)) => {
            "; measured in turn, with one process each, so this is about these processes, which differ even if their build does not: \
             use --instances 5 to spread the passes over several"
        }
        (Design::Interleaved, None) => {
            "; measured in turn, on servers that were already running: this is about their processes, not their builds"
        }
    };
    if comparison.provisional {
        text += "; provisional: two separate runs differ by more than their passes show; --calibrate finds out by how much \
                 here";
    }
    text
}
