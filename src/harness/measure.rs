//! A benchmark measured, compared, printed and kept; and a run's verdicts.

use std::io::{Write, stderr, stdout};

use super::{
    RunError,
    baselines::{Baselines, Earlier},
    gate::Gate,
    output::{Output, warn},
    prompt_cache::PromptsOf,
    run::{Half, Ready},
    session::Session,
};
use crate::{
    baseline::Lock,
    compare::{self, cache_reason, compare, settle, with_earlier},
    config::{Benchmark, OutputFormat, Plan},
    files::write_whole,
    metrics::Better,
    report::{bencher_lines, bencher_metric_format, github_entries, print_block, print_calibration, print_verdicts},
    run::{Commit, Comparison, Report},
    text::visible,
};

/// What a benchmark gave, and what went wrong with keeping or printing it.
pub struct Measured {
    pub report: Report,
    pub problems: Vec<RunError>,
}

/// Measures a benchmark, or takes a baseline's results for it; compares, writes its files and prints its block.
pub fn measure(
    session: &Session,
    baselines: &Baselines,
    benchmark: &Benchmark,
    commit: Option<Commit>,
    output: Output,
) -> Result<Measured, RunError> {
    let name = &benchmark.name;
    let _lock = lock(session, baselines, output)?;
    // What ends the run does so before anything is sent.
    let earlier = baselines.earlier(name, &mut warn)?;
    let mut unsaved = None;
    let mut report = match baselines.loaded(name, &mut warn)? {
        Some(report) => report,
        None => {
            let sent_before = |prompts: &PromptsOf, server: &str| baselines.sent_before(name, prompts, server);
            let ready = Ready::new(session, benchmark, Half::First, sent_before, output)?;
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
    report.comparison =
        baseline.as_ref().map(|baseline| compare(&report, baseline, calibration.as_ref(), &benchmark.workload.terms));
    // Files before the screen: a pipe that is closed costs nothing that was measured.
    let mut problems = baselines.keep(&report, &earlier);
    problems.extend(unsaved.map(RunError::from));
    let printed = match session.plan.output_format {
        OutputFormat::Criterion | OutputFormat::Github => print_block(&mut stdout().lock(), &report, output.style),
        OutputFormat::Bencher => stdout().write_all(bencher_lines(&report).as_bytes()),
        // These are one document each, when all benchmarks are done.
        OutputFormat::Json | OutputFormat::Bmf => Ok(()),
    };
    problems.extend(printed.err().map(RunError::Output));
    Ok(Measured { report, problems })
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
    let run = |half, numbers, sent_before: &dyn Fn(&PromptsOf, &str) -> Option<String>| {
        let ready = Ready::new(session, benchmark, half, sent_before, output)?;
        // A cache would make the second half another benchmark than the first.
        if half == Half::First && ready.caches_halves()? {
            let why = "the server caches prompts, and both halves of a calibration would send the same ones: add --cache-bust or \
                       --fresh-prompts";
            return Err(RunError::Calibration(why.to_owned()));
        }
        ready.warm_up()?;
        let mut run = ready.run(numbers, 2 * passes)?;
        match run.ended.take() {
            None => Ok(ready.report(run, None, commit.clone())),
            Some(error) => Err(error),
        }
    };
    let name = &benchmark.name;
    let first = run(Half::First, 0..passes, &|prompts, server| baselines.sent_before(name, prompts, server))?;
    let second = run(Half::Second, passes..2 * passes, &|_, _| None)?;
    if let Some(why) = cache_reason(&second, &first) {
        return Err(RunError::Calibration(format!(
            "{why} (the first half), which makes no calibration: add --cache-bust or --fresh-prompts"
        )));
    }
    let calibration = compare::calibrate(&first, second, session.plan.confidence_level);
    let calibration = match &earlier {
        Some(earlier) => with_earlier(calibration, earlier),
        None => calibration,
    };
    let gate = &benchmark.workload.terms.gate;
    let path = baselines.keep_calibration(&calibration)?;
    print_calibration(&mut stdout().lock(), &calibration, gate, output.style).map_err(RunError::Output)?;
    output.status(&format!("The noise floor of {} is kept in {}", benchmark.name, path.display()));
    Ok(())
}

/// Shows and keeps what there is of a run that ended early, apart from whole runs.
fn keep_partial(session: &Session, baselines: &Baselines, report: &Report, output: Output) {
    match baselines.keep_partial(report) {
        Ok(Some(path)) => output.status(&format!("What there is of {}: {}", report.id, path.display())),
        Ok(None) => {}
        Err(e) => _ = writeln!(stderr(), "error: {}: {}", report.id, visible(&e.to_string())),
    }
    if matches!(session.plan.output_format, OutputFormat::Criterion | OutputFormat::Github) {
        // Whether or not it can be printed, why it ended is what counts.
        _ = print_block(&mut stdout().lock(), report, output.style);
    }
}

fn lock(session: &Session, baselines: &Baselines, output: Output) -> Result<Lock, RunError> {
    let waiting = || output.status("Waiting for another run, which would disturb this one");
    let lock = baselines.store.lock(waiting, || session.check_stopped().is_err())?;
    lock.ok_or(RunError::Interrupted)
}

/// Corrects the comparisons of all benchmarks for one another, keeps and prints the verdicts and what is printed at the end.
/// Gives what keeps the gate from passing, and what went wrong.
pub fn conclude(plan: &Plan, baselines: &Baselines, reports: &mut [Report], output: Output) -> (Gate, Vec<RunError>) {
    let mut comparisons: Vec<&mut Comparison> =
        reports.iter_mut().filter_map(|report| report.comparison.as_mut()).collect();
    settle(&mut comparisons);
    let mut problems: Vec<RunError> = reports.iter().flat_map(|report| baselines.keep_verdicts(report)).collect();
    if plan.output_format == OutputFormat::Github {
        for (name, better) in [("github-bigger.json", Better::Higher), ("github-smaller.json", Better::Lower)] {
            let path = baselines.store.root().join(name);
            match write_whole(&path, format!("{:#}\n", github_entries(reports, better)).as_bytes()) {
                Ok(()) => output.status(&format!("For github-action-benchmark: {}", path.display())),
                Err(e) => problems.push(e.into()),
            }
        }
    }
    let whole: Vec<&Report> = reports.iter().collect();
    let printed = match plan.output_format {
        OutputFormat::Criterion | OutputFormat::Github => {
            print_verdicts(&mut stdout().lock(), &whole, output.style).map_err(RunError::Output)
        }
        OutputFormat::Bencher => Ok(()),
        OutputFormat::Json => json_lines(reports),
        OutputFormat::Bmf => writeln!(stdout(), "{:#}", bencher_metric_format(reports)).map_err(RunError::Output),
    };
    problems.extend(printed.err());
    if !matches!(plan.output_format, OutputFormat::Criterion | OutputFormat::Github) && !output.quiet {
        // stdout belongs to another program.
        _ = print_verdicts(&mut stderr().lock(), &whole, output.style);
    }
    (Gate::of(reports, &plan.fail_on), problems)
}

/// Prints reports, a JSON line each.
pub fn json_lines(reports: &[Report]) -> Result<(), RunError> {
    for report in reports {
        let line = serde_json::to_string(report).map_err(|e| RunError::Setup(e.to_string()))?;
        writeln!(stdout(), "{line}").map_err(RunError::Output)?;
    }
    Ok(())
}
