//! A benchmark measured, compared and kept; and a run's verdicts.

use std::{
    cell::RefCell,
    io::{Write, stderr, stdout},
    time::Duration,
};

use super::{
    RunError,
    baselines::{Baselines, Earlier},
    draw::draw_history,
    gate::Gate,
    goal::{Beside, Budget, Goal},
    identity::Half,
    passes::Passes,
    prompt_cache::PromptsOf,
    ready::Ready,
    session::Session,
};
use crate::{
    baseline::{AGAINST, Lock},
    compare::{self, cache_reason, compare, compare_boundaries, settle, with_earlier},
    config::{Benchmark, Turns},
    metrics::PassMetrics,
    report::{self, Output, Sinks, print_calibration, warn},
    run::{Baseline, Commit, Comparison, Design, Report},
    stats::judge,
    text::visible,
};

/// What measures: the parts that all benchmarks of a run share.
pub struct Work<'a> {
    pub session: Session<'a>,
    /// The server that is measured in turn with it.
    pub against: Option<Session<'a>>,
    pub baselines: Baselines<'a>,
    /// What there is for passes.
    pub budget: Budget,
    pub sinks: RefCell<Sinks>,
    pub commit: Option<Commit>,
    pub output: Output,
}

/// What a benchmark gave, and what went wrong with keeping or printing it.
pub struct Measured {
    pub report: Report,
    pub problems: Vec<RunError>,
}

/// Where the server that the run started has ended on its own, that is the error, and the requests' failures follow from it.
pub(super) fn why_server_died(session: &Session, error: RunError) -> RunError {
    match &error {
        RunError::TooManyFailures { .. }
        | RunError::AllFailed { .. }
        | RunError::Warmup { .. }
        | RunError::Connect(_)
        | RunError::Server(_) => session.why_died().unwrap_or(error),
        _ => error,
    }
}

/// Settles after the first pass how those to come are spread over processes of the servers, for all sides alike.
pub(super) fn settle_spread(goal: &Goal, sides: &[(&Ready, &[PassMetrics])]) {
    let first = |(ready, done): &(&Ready, &[PassMetrics])| match done {
        [first] => {
            let round = Duration::from_secs_f64(sides.len() as f64 * first.duration_s);
            ready.passes_a_process(first, goal.expected(round))
        }
        _ => None,
    };
    if let Some(passes) = sides.iter().filter_map(first).max() {
        sides.iter().for_each(|(ready, _)| ready.settle_spread(passes));
    }
}

/// Whether a run was made in turn with this server.
fn was_beside(run: &Report, against: &Session) -> bool {
    let identity = against.identity();
    run.comparison.as_ref().is_some_and(|c| c.design == Design::Interleaved && c.baseline == identity)
}

impl Work<'_> {
    /// Measures a benchmark, or takes a baseline's results for it; compares, and gives them to where they are kept and shown.
    pub fn measure(&self, benchmark: &Benchmark) -> Result<Measured, RunError> {
        let name = &benchmark.name;
        let _lock = self.lock()?;
        // What ends the run does so before anything is sent.
        let earlier = self.baselines.earlier(name, &mut warn)?;
        let (mut unsaved, mut problems) = (Vec::new(), Vec::new());
        let mut beside = None;
        let loaded = self.baselines.loaded(name, &mut warn)?;
        let terms = &benchmark.workload.terms;
        let goal = self.budget.goal(benchmark, self.output);
        let mut report = match (loaded, &self.against, &benchmark.find_max) {
            (Some(report), ..) => report,
            (None, _, Some(find)) => {
                let report = self.find_max(benchmark, find)?;
                problems.extend(self.session.hook("after_benchmark", |hooks| &hooks.after_benchmark).err());
                report
            }
            (None, Some(against), None) => {
                let last =
                    earlier.last_run.as_ref().filter(|last| goal.planned().is_none() && was_beside(last, against));
                // It is for a forecast alone: one that can't be read ends nothing.
                let other = last.and_then(|_| self.baselines.store.read_report(name, AGAINST).ok()?);
                if let Some((last, other)) = last.zip(other) {
                    goal.foresee(last, &other);
                }
                let (report, other, met) = self.in_turn(benchmark, against, &goal)?;
                problems.extend(met);
                beside = Some(other);
                report
            }
            (None, None, None) => {
                let sent_before = |prompts: &PromptsOf, server: &str| self.baselines.sent_before(name, prompts, server);
                let died = |error| why_server_died(&self.session, error);
                let ready =
                    Ready::new(&self.session, benchmark, Half::First, sent_before, self.output).map_err(died)?;
                ready.warm_up().map_err(died)?;
                let baseline = earlier.baseline.as_ref().map(|baseline| &*baseline.report.passes);
                let beside = baseline.map_or(Beside::Nothing, Beside::Earlier);
                let next = |done: &[PassMetrics]| {
                    settle_spread(&goal, &[(&ready, done)]);
                    goal.goes_on(done, beside, ready.stays_for(done.len()))
                };
                let mut run = ready.run(0, goal.planned(), &self.sinks, next).map_err(died)?;
                unsaved = std::mem::take(&mut run.unsaved);
                if let Some(error) = run.ended.take() {
                    let error = died(error);
                    self.keep_partial(&ready.report(run, Some(&error), self.commit.clone()));
                    unsaved.into_iter().for_each(|e| warn(e.to_string()));
                    return Err(error);
                }
                problems.extend(self.session.hook("after_benchmark", |hooks| &hooks.after_benchmark).err());
                ready.report(run, None, self.commit.clone())
            }
        };
        let Earlier { mut baseline, mut calibration, mut last_run } = earlier;
        if let Some(other) = beside {
            problems.extend(self.baselines.keep_beside(&other));
            problems.extend(self.sinks.borrow_mut().beside(&other).into_iter().map(RunError::from));
            // The two sides of one run are compared, and nothing that was before; criterion's `base` is the other side.
            (calibration, last_run) = (None, Some(other.clone()));
            let name = other.server.identity().to_owned();
            baseline = Some(Baseline { name, report: other, note: None, design: Design::Interleaved });
        }
        let judged = |objective| judge(objective, &report.passes, report.confidence_level, report.stopping());
        report.objectives = benchmark.workload.objectives.iter().map(judged).collect();
        if let Some(moved) = baseline.as_ref().and_then(|baseline| compare_boundaries(&report, baseline)) {
            report.boundary.iter_mut().for_each(|boundary| boundary.comparison = Some(moved.clone()));
        }
        // Of a search, the passes are those of the load that it came to: another one each time.
        report.comparison = match report.boundary {
            None => baseline.as_ref().map(|baseline| compare(&report, baseline, calibration.as_ref(), terms)),
            Some(_) => None,
        };
        // The report first: the other files can be made from it.
        problems.extend(self.baselines.keep(&report));
        let measured = report::Measured {
            report: &report,
            baseline: baseline.as_ref().map(|baseline| &baseline.report),
            last_run: last_run.as_ref(),
        };
        let unsaved = unsaved.into_iter().chain(self.sinks.borrow_mut().benchmark(&measured));
        problems.extend(unsaved.map(RunError::from));
        Ok(Measured { report, problems })
    }

    /// Measures a benchmark on two servers in turn, pass by pass: A B, B A, A B. Gives both reports, and what went wrong without
    /// ending it.
    fn in_turn(
        &self,
        benchmark: &Benchmark,
        against: &Session,
        goal: &Goal,
    ) -> Result<(Report, Report, Vec<RunError>), RunError> {
        let sessions = [&self.session, against];
        let plan = self.session.plan;
        let exclusive = plan.turns == Turns::Exclusive;
        let mut sides = Vec::new();
        for session in sessions {
            let sent_before =
                |prompts: &PromptsOf, server: &str| self.baselines.sent_before(&benchmark.name, prompts, server);
            let died = |error| why_server_died(session, error);
            let ready = Ready::new(session, benchmark, Half::First, sent_before, self.output).map_err(died)?;
            match exclusive {
                true => session.started.end(),
                false => ready.warm_up().map_err(died)?,
            }
            sides.push((ready, Passes::default()));
        }
        // Where a turn has a process of its own, it may have several passes.
        let instances = plan.instances.filter(|_| exclusive);
        let a_turn = instances.map_or(1, |instances| benchmark.workload.sample_size.div_ceil(instances));
        let mut unsaved = Vec::new();
        for turn in 0.. {
            let [new, base] = [0, 1].map(|side| sides[side].1.whole.as_slice());
            settle_spread(goal, &[(&sides[0].0, new), (&sides[1].0, base)]);
            let stays = sides.iter().any(|(ready, _)| ready.stays_for(new.len()));
            if !goal.goes_on(new, Beside::InTurn(base), stays) {
                break;
            }
            let passes = goal.planned().map_or(a_turn, |planned| a_turn.min(planned - new.len()));
            // Whoever went second goes first now, so that a drift meets both alike.
            for side in [turn % 2, 1 - turn % 2] {
                let (ready, done) = &mut sides[side];
                let next = |done: &[PassMetrics]| done.len() < passes;
                // What was whole before is kept, whatever comes of this one.
                let run = ready.run(turn * a_turn, goal.planned(), &self.sinks, next);
                let mut run = run.unwrap_or_else(Passes::ended_by);
                if exclusive && run.ended.is_none() {
                    sessions[side].started.end();
                }
                if !run.unsaved.is_empty() {
                    unsaved = std::mem::take(&mut run.unsaved);
                }
                let ended = run.ended.take();
                done.add(run);
                if let Some(error) = ended {
                    let error = why_server_died(sessions[side], error);
                    let (ready, done) = sides.swap_remove(0);
                    if !done.is_empty() {
                        self.keep_partial(&ready.report(done, Some(&error), self.commit.clone()));
                    }
                    return Err(error);
                }
            }
        }
        let mut problems: Vec<RunError> = unsaved.into_iter().map(RunError::from).collect();
        let mut reports = Vec::new();
        for ((ready, done), session) in sides.into_iter().zip(sessions) {
            problems.extend(session.hook("after_benchmark", |hooks| &hooks.after_benchmark).err());
            // What was built from a revision is that one's, whatever is checked out; of another server nobody knows.
            let commit = match session.started.revision() {
                Some(sha) => Some(Commit { sha, dirty: false, branch: None }),
                None => self.commit.clone().filter(|_| reports.is_empty()),
            };
            reports.push(ready.report(done, None, commit));
        }
        match (reports.pop(), reports.pop()) {
            (Some(other), Some(report)) => Ok((report, other, problems)),
            _ => Err(RunError::Setup("a side has no report".to_owned())),
        }
    }

    /// Runs a benchmark against itself and keeps how far the two runs lie apart.
    pub fn calibrate(&self, benchmark: &Benchmark) -> Result<(), RunError> {
        let passes = benchmark.workload.sample_size;
        if passes < 2 {
            let why = "one pass shows no spread: --calibrate needs --sample-size 2 or more".to_owned();
            return Err(RunError::Calibration(why));
        }
        if benchmark.find_max.is_some() || benchmark.sweep.is_some() {
            let why = "a search or a sweep has no fixed load to calibrate: give some, as in --concurrency 1,8,64";
            return Err(RunError::Calibration(why.to_owned()));
        }
        let _lock = self.lock()?;
        let earlier = self.baselines.store.read_calibration(&benchmark.name)?;
        let run = |half, from, sent_before: &dyn Fn(&PromptsOf, &str) -> Option<String>| {
            let ready = Ready::new(&self.session, benchmark, half, sent_before, self.output)?;
            // A cache would make the second half another benchmark than the first.
            if half == Half::First && ready.caches_halves()? {
                let why = "the server caches prompts, and both halves of a calibration would send the same ones: add \
                           --cache-bust or --fresh-prompts";
                return Err(RunError::Calibration(why.to_owned()));
            }
            ready.warm_up()?;
            let goal = self.budget.goal(benchmark, self.output);
            let next = |done: &[PassMetrics]| {
                settle_spread(&goal, &[(&ready, done)]);
                done.len() < passes
            };
            let mut run = ready.run(from, Some(2 * passes), &self.sinks, next)?;
            match run.ended.take() {
                None => Ok(ready.report(run, None, self.commit.clone())),
                Some(error) => Err(error),
            }
        };
        let sent_before =
            |prompts: &PromptsOf, server: &str| self.baselines.sent_before(&benchmark.name, prompts, server);
        let first = run(Half::First, 0, &sent_before)?;
        let second = run(Half::Second, passes, &|_, _| None)?;
        if let Some(why) = cache_reason(&second, &first) {
            return Err(RunError::Calibration(format!(
                "{why} (the first half), so this is no valid calibration: add --cache-bust or --fresh-prompts"
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
    pub(super) fn keep_partial(&self, report: &Report) {
        match self.baselines.keep_partial(report) {
            Ok(Some(path)) => self.output.status(&format!("Partial results of {}: {}", report.id, path.display())),
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
        // Where nothing was measured, nothing is written.
        if self.baselines.has_pages() && !reports.is_empty() {
            problems.extend(draw_history(self.session.plan, &self.baselines, &mut self.sinks.borrow_mut()));
        }
        problems.extend(self.sinks.borrow_mut().end(reports).into_iter().map(RunError::from));
        (Gate::of(reports, &self.session.plan.fail_on), problems)
    }
}
