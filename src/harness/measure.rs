//! A benchmark measured, compared and kept; and a run's verdicts.

use std::{
    cell::RefCell,
    io::{Write, stderr, stdout},
};

use super::{
    RunError,
    baselines::{Baselines, Earlier},
    gate::Gate,
    prompt_cache::PromptsOf,
    ready::{Half, Ready},
    session::Session,
};
use crate::{
    baseline::Lock,
    compare::{self, cache_reason, compare, settle, with_earlier},
    config::Benchmark,
    report::{self, Output, Sinks, print_calibration, warn},
    run::{Commit, Comparison, Report},
    text::visible,
};

/// What measures: the parts that all benchmarks of a run share.
pub struct Work<'a> {
    pub session: Session<'a>,
    pub baselines: Baselines<'a>,
    pub sinks: RefCell<Sinks>,
    pub commit: Option<Commit>,
    pub output: Output,
}

/// What a benchmark gave, and what went wrong with keeping or printing it.
pub struct Measured {
    pub report: Report,
    pub problems: Vec<RunError>,
}

impl Work<'_> {
    /// Measures a benchmark, or takes a baseline's results for it; compares, and gives them to where they are kept and shown.
    pub fn measure(&self, benchmark: &Benchmark) -> Result<Measured, RunError> {
        let name = &benchmark.name;
        let _lock = self.lock()?;
        // What ends the run does so before anything is sent.
        let earlier = self.baselines.earlier(name, &mut warn)?;
        let mut unsaved = Vec::new();
        let mut report = match self.baselines.loaded(name, &mut warn)? {
            Some(report) => report,
            None => {
                let sent_before = |prompts: &PromptsOf, server: &str| self.baselines.sent_before(name, prompts, server);
                let ready = Ready::new(&self.session, benchmark, Half::First, sent_before, self.output)?;
                ready.warm_up()?;
                let passes = benchmark.workload.sample_size;
                let mut run = ready.run(0..passes, passes, &self.sinks)?;
                unsaved = std::mem::take(&mut run.unsaved);
                if let Some(error) = run.ended.take() {
                    self.keep_partial(&ready.report(run, Some(&error), self.commit.clone()));
                    unsaved.into_iter().for_each(|e| warn(e.to_string()));
                    return Err(error);
                }
                ready.report(run, None, self.commit.clone())
            }
        };
        let Earlier { baseline, calibration, last_run } = &earlier;
        report.comparison = baseline
            .as_ref()
            .map(|baseline| compare(&report, baseline, calibration.as_ref(), &benchmark.workload.terms));
        // The report first: the other files can be made from it.
        let mut problems = self.baselines.keep(&report);
        let measured = report::Measured {
            report: &report,
            baseline: baseline.as_ref().map(|baseline| &baseline.report),
            last_run: last_run.as_ref(),
        };
        let unsaved = unsaved.into_iter().chain(self.sinks.borrow_mut().benchmark(&measured));
        problems.extend(unsaved.map(RunError::from));
        Ok(Measured { report, problems })
    }

    /// Runs a benchmark against itself and keeps how far the two runs lie apart.
    pub fn calibrate(&self, benchmark: &Benchmark) -> Result<(), RunError> {
        let passes = benchmark.workload.sample_size;
        if passes < 2 {
            let why = "one pass has no spread to find: --calibrate needs --sample-size 2 or more".to_owned();
            return Err(RunError::Calibration(why));
        }
        let _lock = self.lock()?;
        let earlier = self.baselines.store.read_calibration(&benchmark.name)?;
        let run = |half, numbers, sent_before: &dyn Fn(&PromptsOf, &str) -> Option<String>| {
            let ready = Ready::new(&self.session, benchmark, half, sent_before, self.output)?;
            // A cache would make the second half another benchmark than the first.
            if half == Half::First && ready.caches_halves()? {
                let why = "the server caches prompts, and both halves of a calibration would send the same ones: add \
                           --cache-bust or --fresh-prompts";
                return Err(RunError::Calibration(why.to_owned()));
            }
            ready.warm_up()?;
            let mut run = ready.run(numbers, 2 * passes, &self.sinks)?;
            match run.ended.take() {
                None => Ok(ready.report(run, None, self.commit.clone())),
                Some(error) => Err(error),
            }
        };
        let sent_before =
            |prompts: &PromptsOf, server: &str| self.baselines.sent_before(&benchmark.name, prompts, server);
        let first = run(Half::First, 0..passes, &sent_before)?;
        let second = run(Half::Second, passes..2 * passes, &|_, _| None)?;
        if let Some(why) = cache_reason(&second, &first) {
            return Err(RunError::Calibration(format!(
                "{why} (the first half), which makes no calibration: add --cache-bust or --fresh-prompts"
            )));
        }
        let calibration = compare::calibrate(&first, second, self.session.plan.confidence_level);
        let calibration = match &earlier {
            Some(earlier) => with_earlier(calibration, earlier),
            None => calibration,
        };
        let gate = &benchmark.workload.terms.gate;
        let path = self.baselines.keep_calibration(&calibration)?;
        print_calibration(&mut stdout().lock(), &calibration, gate, self.output.style).map_err(RunError::Output)?;
        self.output.status(&format!("The noise floor of {} is kept in {}", benchmark.name, path.display()));
        Ok(())
    }

    /// Shows and keeps what there is of a run that ended early, apart from whole runs.
    fn keep_partial(&self, report: &Report) {
        match self.baselines.keep_partial(report) {
            Ok(Some(path)) => self.output.status(&format!("What there is of {}: {}", report.id, path.display())),
            Ok(None) => {}
            Err(e) => _ = writeln!(stderr(), "error: {}: {}", report.id, visible(&e.to_string())),
        }
        // Whether or not it can be shown, why it ended is what counts.
        self.sinks.borrow_mut().partial(report);
    }

    fn lock(&self) -> Result<Lock, RunError> {
        let waiting = || self.output.status("Waiting for another run, which would disturb this one");
        let lock = self.baselines.store.lock(waiting, || self.session.check_stopped().is_err())?;
        lock.ok_or(RunError::Interrupted)
    }

    /// Corrects the comparisons of all benchmarks for one another, and gives the verdicts to where they are kept and shown.
    /// Gives what keeps the gate from passing, and what went wrong.
    pub fn conclude(&self, reports: &mut [Report]) -> (Gate, Vec<RunError>) {
        let mut comparisons: Vec<&mut Comparison> =
            reports.iter_mut().filter_map(|report| report.comparison.as_mut()).collect();
        settle(&mut comparisons);
        let mut problems: Vec<RunError> =
            reports.iter().flat_map(|report| self.baselines.keep_verdicts(report)).collect();
        problems.extend(self.sinks.borrow_mut().end(reports).into_iter().map(RunError::from));
        (Gate::of(reports, &self.session.plan.fail_on), problems)
    }
}
