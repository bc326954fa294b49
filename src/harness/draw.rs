//! Pages of what is kept already: all runs so far, and with `--report-only` the last one once more.

use std::path::{Component, Path};

use super::{
    RunError,
    baselines::Baselines,
    trends::{ids, trends},
};
use crate::{
    baseline::{BaselineError, NEW},
    config::Plan,
    report::{AllRuns, Measured, Output, Sinks, warn},
    run::Report,
};

/// Draws the pages of all runs so far; gives what went wrong. A history that can't be read has no pages, and costs this run nothing.
pub fn draw_history(plan: &Plan, baselines: &Baselines, sinks: &mut Sinks) -> Vec<RunError> {
    match baselines.history.read(&mut |_| ()) {
        Ok(runs) => draw_runs(plan, &runs, sinks),
        Err(e) => {
            warn(format!("{e}: its pages are not drawn"));
            Vec::new()
        }
    }
}

fn draw_runs(plan: &Plan, runs: &[Report], sinks: &mut Sinks) -> Vec<RunError> {
    let trends = trends(plan, runs);
    sinks.history(&AllRuns { runs, trends: &trends }).into_iter().map(RunError::from).collect()
}

/// Draws the pages of the last run of each benchmark that was selected, from what is kept of it.
///
/// # Errors
/// Where there is none, or a page can't be written.
pub fn draw(
    plan: &Plan,
    baselines: &Baselines,
    selects: &dyn Fn(&str) -> bool,
    output: Output,
) -> Result<(), RunError> {
    if !cfg!(feature = "html") {
        return Err(RunError::Setup("this build draws no pages: it has no feature `html`".to_owned()));
    }
    let runs = baselines.history.read(&mut warn).map_err(BaselineError::from)?;
    // The loads of a sweep stand under the names of their own.
    let is_planned = |id: &str| {
        plan.benchmarks.iter().any(|benchmark| {
            // Of a sweep, those of its last run.
            let of_sweep = |run: &&Report| run.point_of.as_deref() == Some(benchmark.name.as_str());
            let last = runs.iter().rfind(of_sweep).map(|run| &run.run_id);
            let is_load = |run: &Report| run.id == id && of_sweep(&run) && Some(&run.run_id) == last;
            benchmark.name == id || runs.iter().any(is_load)
        })
    };
    let names = ids(&runs).into_iter().filter(|id| is_planned(id)).map(str::to_owned);
    let mut names: Vec<String> = plan.benchmarks.iter().map(|benchmark| benchmark.name.clone()).chain(names).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| selects(name) && is_within(name) && seen.insert(name.clone()));
    let mut reports: Vec<Report> = Vec::new();
    for name in &names {
        // What calls itself otherwise would be drawn somewhere else.
        reports.extend(baselines.store.read_report(name, NEW)?.filter(|report| report.id == *name));
    }
    if reports.is_empty() {
        let root = baselines.store.root().display();
        return Err(RunError::Setup(format!("{root} has no run of the selected benchmarks: measure them first")));
    }
    let mut sinks = Sinks::of_pages(&baselines.outputs(output));
    let mut problems = draw_runs(plan, &runs, &mut sinks);
    for report in &reports {
        let baseline = baselines.baseline_of(report, &runs);
        let measured = Measured { report, baseline: baseline.as_ref(), last_run: None };
        problems.extend(sinks.benchmark(&measured).into_iter().map(RunError::from));
    }
    problems.extend(sinks.end(&reports).into_iter().map(RunError::from));
    let last = problems.pop();
    problems.iter().for_each(|problem| warn(problem.to_string()));
    last.map_or(Ok(()), Err)
}

/// Whether a name leads nowhere out of a folder: those of the history may say anything.
fn is_within(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, expected) in
            [("chat/c1", true), ("..", false), ("a/../../b", false), ("/etc", false), ("a/./b", true)]
        {
            assert_eq!(is_within(name), expected, "{name}");
        }
    }
}
