//! The loads of a sweep side by side, and the knee.

use std::io::{self, Write};

use super::{
    block::{Style, WIDTH, wrapped},
    numbers::cell,
};
use crate::{
    run::Report,
    stats::{AtLoad, State, knee},
};

/// The benchmarks of one sweep, in the order in which they were measured.
pub(super) struct Swept<'a> {
    /// E.g. `sharegpt/sweep-rate`.
    pub name: &'a str,
    loads: Vec<&'a Report>,
}

/// The sweeps among the benchmarks of a run.
pub(super) fn sweeps(reports: &[Report]) -> Vec<Swept<'_>> {
    let mut sweeps: Vec<Swept> = Vec::new();
    for report in reports {
        let Some(name) = report.point_of.as_deref() else { continue };
        match sweeps.iter_mut().find(|sweep| sweep.name == name) {
            Some(sweep) => sweep.loads.push(report),
            None => sweeps.push(Swept { name, loads: vec![report] }),
        }
    }
    sweeps
}

impl Swept<'_> {
    /// `c16`; `None` where there are too few loads for one.
    pub fn knee(&self) -> Option<String> {
        let at = |report: &Report| {
            let shape = report.load.shape();
            let load = shape.concurrency().map(|clients| clients as f64).or(shape.request_rate().map(|rate| rate.0))?;
            AtLoad::of(load, &report.estimates)
        };
        let (loads, points): (Vec<&Report>, Vec<AtLoad>) =
            self.loads.iter().filter_map(|report| Some((*report, at(report)?))).unzip();
        knee(&points).map(|knee| loads[knee].load.shape().name())
    }

    /// `c1 to c64`.
    pub fn ends(&self) -> String {
        let name = |report: Option<&&Report>| report.map_or_else(String::new, |report| report.load.shape().name());
        format!("{} to {}", name(self.loads.first()), name(self.loads.last()))
    }

    /// Up to where all objectives are met, and what is not beyond; `None` where there are none.
    pub fn objectives(&self) -> Option<String> {
        self.loads.iter().find(|report| !report.objectives.is_empty())?;
        let beyond = self.loads.iter().position(|report| report.objectives.iter().any(|o| o.state != State::Met));
        let name = |i: usize| self.loads[i].load.shape().name();
        let Some(beyond) = beyond else {
            return Some(format!("all objectives are met up to {}", name(self.loads.len() - 1)));
        };
        let broken = self.loads[beyond].objectives.iter().filter(|judged| judged.state != State::Met);
        let broken: Vec<String> = broken.map(|judged| format!("{} is {}", judged.objective, judged.state)).collect();
        let broken = format!("at {} {}", name(beyond), broken.join(", "));
        Some(match beyond {
            0 => broken,
            _ => format!("all objectives are met up to {}; {broken}", name(beyond - 1)),
        })
    }

    fn rows(&self) -> impl Iterator<Item = [String; 6]> {
        let header = ["load", "tokens/s", "rpm", "ttft p50", "ttft p99", "e2e p50"].map(str::to_owned);
        std::iter::once(header).chain(self.loads.iter().map(|report| {
            let of = |name: &str| cell(report, name);
            let [tokens, rpm] = ["output_tokens_per_s", "rpm"].map(of);
            let [first, last_of_them, whole] = ["ttft_p50", "ttft_p99", "e2e_p50"].map(of);
            [report.load.shape().name(), tokens, rpm, first, last_of_them, whole]
        }))
    }
}

/// Prints the sweeps of a run: a row a load, and the knee.
///
/// # Errors
/// Where `out` fails.
pub(super) fn print_sweeps(out: &mut impl Write, reports: &[Report], style: Style) -> io::Result<()> {
    let (bold, plain) = if style.color { ("\x1b[32m", "\x1b[0m") } else { ("", "") };
    for sweep in sweeps(reports) {
        writeln!(out, "{bold}{}{plain}", sweep.name)?;
        for [load, rest @ ..] in sweep.rows() {
            let rest: String = rest.iter().map(|cell| format!("{cell:>12}")).collect();
            writeln!(out, "  {load:<10}{rest}")?;
        }
        let knee = sweep.knee().map(|knee| format!("knee: {knee}, the most throughput for its latency"));
        for line in knee.into_iter().chain(sweep.objectives()).flat_map(|line| wrapped(&line, WIDTH - 2)) {
            writeln!(out, "  {line}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::samples::report;

    fn at(clients: usize, tokens_per_s: f64, e2e_s: f64, objective: &str) -> Report {
        report(|r| {
            r["load"]["concurrency"] = clients.into();
            r["point_of"] = "a/sweep-concurrency".into();
            let estimate = |point: f64| json!({"point": point, "lower": null, "upper": null, "confidence_level": 0.95, "unit": "", "better": "higher"});
            r["estimates"] = json!({
                "output_tokens_per_s": estimate(tokens_per_s), "rpm": estimate(60.0), "e2e_p50": estimate(e2e_s)
            });
            r["objectives"] = json!([{"objective": "rps > 2", "state": objective, "point": 1.0, "lower": null, "upper": null,
                "limit": 2.0, "unit": "1/s"}]);
        })
    }

    #[test]
    fn a_row_a_load_and_the_knee() {
        let alone = report(|_| ());
        let reports = [at(1, 10.0, 1.0, "met"), alone, at(2, 20.0, 1.0, "met"), at(4, 21.0, 1.9, "missed")];
        let mut printed = Vec::new();
        print_sweeps(&mut printed, &reports, Style::default()).unwrap();
        let expected = "\
a/sweep-concurrency
  load          tokens/s         rpm    ttft p50    ttft p99     e2e p50
  c1              10.000      60.000           -           -    1.0000 s
  c2              20.000      60.000           -           -    1.0000 s
  c4              21.000      60.000           -           -    1.9000 s
  knee: c2, the most throughput for its latency
  all objectives are met up to c2; at c4 rps > 2 is missed

";
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
        assert_eq!(sweeps(&reports)[0].ends(), "c1 to c4");
        assert!(sweeps(&reports[1..2]).is_empty());
    }
}
