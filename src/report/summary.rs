//! All benchmarks of a run side by side, a line each, the verdict last.

use std::io::{self, Write};

use super::{
    block::{Style, paint},
    numbers::cell,
};
use crate::{
    run::{Moved, Report},
    stats::Verdict,
};

/// A name that is longer is cut.
const NAME: usize = 23;

/// Prints the table, where there are several benchmarks; those of one sweep have a table of their own.
///
/// # Errors
/// Where `out` fails.
pub(super) fn print_summary(out: &mut impl Write, reports: &[Report], style: Style) -> io::Result<()> {
    if reports.len() < 2 || reports.iter().all(|report| report.point_of.is_some()) {
        return Ok(());
    }
    let width = reports.iter().map(|report| report.id.chars().count()).max().unwrap_or(0).clamp(9, NAME);
    writeln!(
        out,
        "{:<width$}{:>10}{:>9}{:>11}{:>11}  verdict",
        "benchmark", "tokens/s", "rpm", "ttft p50", "ttft p99"
    )?;
    for report in reports {
        let [tokens, rpm, p50, p99] =
            ["output_tokens_per_s", "rpm", "ttft_p50", "ttft_p99"].map(|name| cell(report, name));
        let name: String = match report.id.chars().count() > width {
            true => report.id.chars().take(width - 1).chain(['…']).collect(),
            false => report.id.clone(),
        };
        let (words, color) = verdict(report);
        writeln!(out, "{name:<width$}{tokens:>10}{rpm:>9}{p50:>11}{p99:>11}  {}", paint(words, color, style))?;
    }
    writeln!(out)
}

/// The worst of the gated metrics, and its colour.
fn verdict(report: &Report) -> (&'static str, &'static str) {
    let (red, yellow, green) = ("\x1b[31m", "\x1b[33m", "\x1b[32m");
    if let Some(moved) = report.boundary.as_ref().and_then(|boundary| boundary.comparison.as_ref()) {
        return match moved.verdict {
            Moved::Down => ("moved down", red),
            Moved::Up => ("moved up", green),
            Moved::Same => ("the same", ""),
            Moved::Undecided => ("undecided", yellow),
            Moved::NotComparable => ("not comparable", yellow),
        };
    }
    let Some(comparison) = &report.comparison else { return ("-", "") };
    let has = |verdict| comparison.gated(verdict).next().is_some();
    let has_failed = comparison.failures.as_ref().is_some_and(|failures| failures.regressed);
    match comparison.comparable {
        _ if has_failed || has(Verdict::Regressed) => ("regressed", red),
        false => ("not comparable", yellow),
        true if !comparison.unmeasured.is_empty() => ("not measured", red),
        true if has(Verdict::Inconclusive) => ("inconclusive", yellow),
        true if has(Verdict::Improved) => ("improved", green),
        true if has(Verdict::NoChange) => ("no change", ""),
        true => ("-", ""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::samples::report;

    #[test]
    fn a_line_a_benchmark() {
        let estimate = |point: f64| json!({"point": point, "lower": null, "upper": null, "confidence_level": 0.95, "unit": "s", "better": "lower"});
        let of = |id: &str, ttft: bool| {
            report(|r| {
                r["id"] = id.into();
                r["estimates"] = json!({"output_tokens_per_s": estimate(1234.5), "rpm": estimate(60.25)});
                if ttft {
                    r["estimates"]["ttft_p50"] = estimate(0.0123);
                }
            })
        };
        let reports = [of("chat/c1", true), of("a-workload-with-a-long-name/c64", false)];
        let mut printed = Vec::new();
        print_summary(&mut printed, &reports, Style::default()).unwrap();
        let expected = "\
benchmark                tokens/s      rpm   ttft p50   ttft p99  verdict
chat/c1                    1234.5   60.250  12.300 ms          -  -
a-workload-with-a-long…    1234.5   60.250          -          -  -

";
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
        // With the longest verdict, too.
        assert!(
            expected
                .lines()
                .all(|line| line.chars().count() + "not comparable".len() - 1 <= 80 || line.ends_with("verdict"))
        );
        let mut printed = Vec::new();
        print_summary(&mut printed, &reports[..1], Style::default()).unwrap();
        assert!(printed.is_empty());
    }
}
