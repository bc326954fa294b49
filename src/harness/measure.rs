//! A benchmark measured, compared, printed and kept; and a run's verdicts.

use std::io::{Write, stderr, stdout};

use super::{
    RunError,
    baselines::{Baselines, Earlier},
    run::{Output, Ready},
    session::Session,
};
use crate::{
    baseline::{BaselineError, Commit, Lock, write_whole},
    compare::{Calibration, Comparison, settle},
    config::{Benchmark, FailOn, OutputFormat, Plan},
    report::{
        Report, bencher_lines, bencher_metric_format, github_entries, print_block, print_calibration, print_history,
        print_verdicts,
    },
    stats::{Better, Metric},
};

/// Measures a benchmark, or takes a baseline's results for it; compares, prints its block and writes its files.
pub fn measure(
    session: &Session,
    baselines: &Baselines,
    benchmark: &Benchmark,
    commit: Option<Commit>,
    output: Output,
) -> Result<Report, RunError> {
    let name = &benchmark.name;
    let mut warn = |line: String| _ = writeln!(stderr(), "warning: {line}");
    let _lock = lock(session, baselines, output)?;
    // What ends the run does so before anything is sent.
    let earlier = baselines.earlier(name, &mut warn)?;
    let mut unsaved = None;
    let mut report = match baselines.loaded(name, &mut warn)? {
        Some(report) => report,
        None => {
            let ready = Ready::new(session, benchmark, output)?;
            ready.warm_up()?;
            let passes = benchmark.workload.sample_size;
            let mut run = ready.run(0..passes, passes)?;
            unsaved = run.unsaved.take();
            if let Some(error) = run.ended.take() {
                keep_partial(session, baselines, &ready.report(run, Some(&error), commit), output);
                if let Some(e) = unsaved {
                    warn(e.to_string());
                }
                return Err(error);
            }
            ready.report(run, None, commit)
        }
    };
    let Earlier { baseline, calibration, .. } = &earlier;
    report.comparison = baseline
        .as_ref()
        .map(|baseline| Comparison::of(&report, baseline, calibration.as_ref(), &benchmark.workload.terms));
    // The results are on the screen before anything can go wrong with a file.
    match session.plan.output_format {
        OutputFormat::Criterion | OutputFormat::Github => {
            print_block(&mut stdout().lock(), &report, output.style).map_err(RunError::Output)?;
        }
        OutputFormat::Bencher => {
            stdout().write_all(bencher_lines(&report).as_bytes()).map_err(RunError::Output)?;
        }
        // These are one document each, when all benchmarks are done.
        OutputFormat::Json | OutputFormat::Bmf => {}
    }
    baselines.keep(&report, &earlier)?;
    match unsaved {
        Some(e) => Err(e.into()),
        None => Ok(report),
    }
}

/// Runs a benchmark against itself and keeps how far the two runs lie apart.
pub fn calibrate(
    session: &Session,
    baselines: &Baselines,
    benchmark: &Benchmark,
    commit: Option<Commit>,
    output: Output,
) -> Result<(), RunError> {
    let passes = benchmark.workload.sample_size;
    if passes < 2 {
        let why = "one pass has no spread to find: --calibrate needs --sample-size 2 or more".to_owned();
        return Err(RunError::Calibration(why));
    }
    let _lock = lock(session, baselines, output)?;
    let earlier = baselines.store.read_calibration(&benchmark.name)?;
    let ready = Ready::new(session, benchmark, output)?;
    ready.warm_up()?;
    let half = |numbers| {
        let mut run = ready.run(numbers, 2 * passes)?;
        match run.ended.take() {
            None => Ok(ready.report(run, None, commit.clone())),
            Some(error) => Err(error),
        }
    };
    let first = half(0..passes)?;
    let second = half(passes..2 * passes)?;
    let calibration = Calibration::of(&first, second, session.plan.confidence_level);
    let calibration = match &earlier {
        Some(earlier) => calibration.with_earlier(earlier),
        None => calibration,
    };
    let gate = &benchmark.workload.terms.gate;
    print_calibration(&mut stdout().lock(), &calibration, gate, output.style).map_err(RunError::Output)?;
    let path = baselines.keep_calibration(&calibration)?;
    output.status(&format!("The noise floor of {} is kept in {}", benchmark.name, path.display()));
    Ok(())
}

/// Shows and keeps what there is of a run that ended early, apart from whole runs.
fn keep_partial(session: &Session, baselines: &Baselines, report: &Report, output: Output) {
    if matches!(session.plan.output_format, OutputFormat::Criterion | OutputFormat::Github) {
        // Whether or not it can be printed, why it ended is what counts.
        _ = print_block(&mut stdout().lock(), report, output.style);
    }
    match baselines.keep_partial(report) {
        Ok(Some(path)) => output.status(&format!("What there is of {}: {}", report.id, path.display())),
        Ok(None) => {}
        Err(e) => _ = writeln!(stderr(), "error: {}: {e}", report.id),
    }
}

fn lock(session: &Session, baselines: &Baselines, output: Output) -> Result<Lock, RunError> {
    let waiting = || output.status("Waiting for another run, which would disturb this one");
    let lock = baselines.store.lock(waiting, || session.check_stopped().is_err())?;
    lock.ok_or(RunError::Interrupted)
}

/// Corrects the comparisons of all benchmarks for one another, prints the verdicts and what is printed at the end, and says
/// whether the gate is passed.
pub fn conclude(
    plan: &Plan,
    baselines: &Baselines,
    reports: &mut [Report],
    output: Output,
) -> Result<Vec<String>, RunError> {
    let mut comparisons: Vec<&mut Comparison> =
        reports.iter_mut().filter_map(|report| report.comparison.as_mut()).collect();
    settle(&mut comparisons);
    for report in reports.iter() {
        baselines.keep_verdicts(report)?;
    }
    let whole: Vec<&Report> = reports.iter().collect();
    let for_people = matches!(plan.output_format, OutputFormat::Criterion | OutputFormat::Github);
    match plan.output_format {
        OutputFormat::Criterion | OutputFormat::Github | OutputFormat::Bencher => {}
        OutputFormat::Json => {
            json_lines(reports)?;
        }
        OutputFormat::Bmf => {
            writeln!(stdout(), "{:#}", bencher_metric_format(reports)).map_err(RunError::Output)?;
        }
    }
    if plan.output_format == OutputFormat::Github {
        for (name, better) in [("github-bigger.json", Better::Higher), ("github-smaller.json", Better::Lower)] {
            let path = baselines.store.root().join(name);
            write_whole(&path, format!("{:#}\n", github_entries(reports, better)).as_bytes())?;
            output.status(&format!("For github-action-benchmark: {}", path.display()));
        }
    }
    if for_people {
        print_verdicts(&mut stdout().lock(), &whole, output.style).map_err(RunError::Output)?;
    } else if !output.quiet {
        // stdout belongs to another program.
        _ = print_verdicts(&mut stderr().lock(), &whole, output.style);
    }
    Ok(match plan.fail_on {
        FailOn::Never => Vec::new(),
        FailOn::Regression => reports.iter().flat_map(regressions).collect(),
    })
}

/// The gated metrics that regressed.
fn regressions(report: &Report) -> Vec<String> {
    let regressed = report.comparison.iter().flat_map(Comparison::regressions);
    regressed.map(|metric| format!("{} {metric}", report.id)).collect()
}

/// Lists the history of a metric: of every benchmark that was ever run and is selected.
pub fn show_history(
    plan: &Plan,
    baselines: &Baselines,
    selects: &dyn Fn(&str) -> bool,
    metric: Option<Metric>,
    output: Output,
) -> Result<(), RunError> {
    let mut warn = |line: String| _ = writeln!(stderr(), "warning: {line}");
    let runs = baselines.history.read(&mut warn).map_err(BaselineError::from)?;
    let runs: Vec<Report> = runs.into_iter().filter(|run| selects(&run.id)).collect();
    if runs.is_empty() {
        let path = baselines.history.path().display();
        output.status(&format!("The history {path} has no run of what was selected: measure one first"));
    }
    if plan.output_format == OutputFormat::Json {
        return json_lines(&runs);
    }
    let mut ids: Vec<&str> = Vec::new();
    for run in &runs {
        if !ids.contains(&run.id.as_str()) {
            ids.push(&run.id);
        }
    }
    for id in ids {
        // A benchmark that is not configured any more is judged as the others are.
        let configured = plan.benchmarks.iter().find(|benchmark| benchmark.name == id);
        let Some(benchmark) = configured.or(plan.benchmarks.first()) else { continue };
        let terms = &benchmark.workload.terms;
        let metric = metric.or(terms.gate.first().copied()).unwrap_or(Metric::OutputTokensPerS);
        let runs: Vec<Report> = runs.iter().filter(|run| run.id == id).cloned().collect();
        print_history(&mut stdout().lock(), id, &runs, metric, terms, output.style).map_err(RunError::Output)?;
    }
    Ok(())
}

fn json_lines(reports: &[Report]) -> Result<(), RunError> {
    for report in reports {
        let line = serde_json::to_string(report).map_err(|e| RunError::Setup(e.to_string()))?;
        writeln!(stdout(), "{line}").map_err(RunError::Output)?;
    }
    Ok(())
}
