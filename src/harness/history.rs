//! `--show-history`: what earlier runs measured, and how each compares with the one before it.

use std::io::stdout;

use super::{
    RunError,
    baselines::Baselines,
    trends::{ids, terms_of, trend_of},
};
use crate::{
    baseline::BaselineError,
    compare::{Terms, compare, compare_boundaries},
    config::Plan,
    metrics::Metric,
    report::{Listed, Output, print_boundaries, print_history, print_reports, warn},
    run::{Baseline, BoundaryChange, Calibration, Comparison, Design, Report},
};

/// Lists the history of a metric: of every benchmark that was ever run and is selected.
pub fn show_history(
    plan: &Plan,
    baselines: &Baselines,
    selects: &dyn Fn(&str) -> bool,
    metric: Option<Metric>,
    output: Output,
) -> Result<(), RunError> {
    let runs = baselines.history.read(&mut warn).map_err(BaselineError::from)?;
    let runs: Vec<Report> = runs.into_iter().filter(|run| selects(&run.id)).collect();
    if runs.is_empty() {
        let path = baselines.history.path().display();
        output.status(&format!("The history {path} has no run of the selected benchmarks: measure them first"));
    }
    if plan.output_format.name() == "json" {
        return print_reports(&mut stdout().lock(), &runs).map_err(RunError::Output);
    }
    for id in ids(&runs) {
        let Some(terms) = terms_of(plan, id) else { continue };
        let Some(metric) = metric.or(terms.gate.first().copied()).or(Metric::all().next()) else { continue };
        let runs: Vec<&Report> = runs.iter().filter(|run| run.id == id).collect();
        let trend = trend_of(id, &runs, metric, terms);
        if runs.iter().any(|run| run.boundary.is_some()) {
            let mut before: Option<&Report> = None;
            let moved =
                runs.iter().map(|run| (*run, before.replace(run).and_then(|before| boundary_change(run, before))));
            print_boundaries(&mut stdout().lock(), id, trend.as_ref(), &moved.collect::<Vec<_>>())
                .map_err(RunError::Output)?;
            continue;
        }
        let calibration = baselines.store.read_calibration(id)?;
        let judge = Judge { metric, terms, calibration: calibration.as_ref() };
        let listed = judge.list(&runs, output.style.verbose);
        print_history(&mut stdout().lock(), id, trend.as_ref(), metric, &listed).map_err(RunError::Output)?;
    }
    Ok(())
}

fn boundary_change(run: &Report, before: &Report) -> Option<BoundaryChange> {
    compare_boundaries(run, &as_baseline(before))
}

/// A run of the history, for the one after it.
fn as_baseline(run: &Report) -> Baseline {
    Baseline { name: String::new(), report: run.clone(), note: None, design: Design::Apart }
}

/// What the listed runs are compared by.
#[derive(Clone, Copy)]
struct Judge<'a> {
    metric: Metric,
    terms: &'a Terms,
    calibration: Option<&'a Calibration>,
}

impl Judge<'_> {
    /// Of the runs made one after another at the same commit the last alone, or all of them. Each is compared with the one
    /// listed before it: where the run itself was, as it was, and otherwise by the same rules, which correct for the whole gate.
    fn list<'a>(self, runs: &[&'a Report], all: bool) -> Vec<Listed<'a>> {
        let same = |a: &Report, b: &Report| a.commit.is_some() && a.commit == b.commit;
        let is_listed = |i: &usize| all || runs.get(i + 1).is_none_or(|next| !same(runs[*i], next));
        let mut before: Option<&Report> = None;
        let listed = (0..runs.len()).filter(is_listed).map(|i| {
            let run = runs[i];
            Listed { run, comparison: before.replace(run).map(|before| self.comparison(run, before)) }
        });
        listed.collect()
    }

    fn comparison(self, run: &Report, before: &Report) -> Comparison {
        let own = run.comparison.as_ref().filter(|comparison| comparison.baseline_started_at == before.started_at);
        let own = own.filter(|comparison| comparison.metrics.contains_key(&self.metric));
        own.cloned().unwrap_or_else(|| {
            let mut terms = self.terms.clone();
            if !terms.gate.contains(&self.metric) {
                terms.gate.push(self.metric);
            }
            compare(run, &as_baseline(before), self.calibration, &terms)
        })
    }
}
