//! The most load that holds the objectives: `--find-max`.

use super::{
    RunError,
    identity::Half,
    measure::{Work, settle_spread, why_server_died},
    passes::Passes,
    prompt_cache::PromptsOf,
    ready::Ready,
    search::{Bounds, Search, Step},
};
use crate::{
    config::{Benchmark, FindMax, MOST_SWEPT_CLIENTS, WorkloadPlan},
    dataset::Sequence,
    load::{LoadPoint, Searched},
    metrics::{Objective, PassMetrics},
    report::load_words,
    run::{Boundary, BoundaryPoint, Partial, Report},
    shard::Leader,
    stats::{State, Stopping, estimates, judge, piles_up, too_small},
};

/// Clients of the look at the most that the server can do.
const SATURATING: usize = 64;
/// The lowest rate is so many times lower than the most that the server can do: requests hardly meet there, and what does not hold at it does
/// not hold. A pass takes so many times longer, too.
const LEAST_RATE: f64 = 32.0;
/// Clients to begin with.
const FIRST_CLIENTS: f64 = 8.0;
/// How far the seeds of looks lie from those of decisions.
const SEEDS_OF_LOOKS: u64 = 10_000;
/// Passes at a load, for each of those that a benchmark has.
const MOST_PASSES: usize = 4;

/// What there is of a search.
struct Tried {
    points: Vec<BoundaryPoint>,
    /// Of the loads that were decided: the load, and the report of its last step.
    reports: Vec<(f64, Report)>,
}

impl Work<'_> {
    /// Searches, and gives the report of the highest load that holds, with the boundary.
    pub fn find_max(&self, benchmark: &Benchmark, find: &FindMax) -> Result<Report, RunError> {
        let bounds = self.bounds(benchmark, find)?;
        let mut search = Search::new(bounds);
        let mut tried = Tried { points: Vec::new(), reports: Vec::new() };
        while let Some(step) = search.next() {
            match self.at(benchmark, find, step, tried.points.iter().any(|point| point.passes > 0)) {
                Ok((point, report)) => {
                    self.tell(benchmark, find, &point);
                    search.note(step, point.state);
                    tried.points.push(point);
                    if let Some(report) = report {
                        tried.reports.retain(|(load, _)| *load != step.load());
                        tried.reports.push((step.load(), report));
                    }
                }
                Err(error) => {
                    let wanted = benchmark.workload.sample_size;
                    if let Some(mut report) = boundary_report(benchmark, find, &search, tried) {
                        let why = error.stop_reason();
                        report.partial = Some(Partial { why, passes_wanted: wanted, last_pass_cut: false });
                        self.keep_partial(&report);
                    }
                    return Err(error);
                }
            }
        }
        boundary_report(benchmark, find, &search, tried).ok_or_else(|| {
            let (what, least) = (find.searched, bounds.least);
            RunError::Search(format!("no {what} of {least} or more could be measured"))
        })
    }

    /// Where to search. A rate is looked for around what the server can do at all.
    fn bounds(&self, benchmark: &Benchmark, find: &FindMax) -> Result<Bounds, RunError> {
        let precision = find.precision;
        let helped = benchmark.workload.objectives.iter().find(|objective| objective.subject.is_throughput());
        if let Some(objective) = helped {
            let why = format!("{objective}: more load helps to meet it; a search needs limits that more load breaks");
            return Err(RunError::Search(why));
        }
        if find.searched == Searched::Concurrency {
            let most = match benchmark.workload.duration {
                Some(_) => MOST_SWEPT_CLIENTS,
                None => self.conversations(benchmark)? as f64,
            };
            // Each shard has one at least.
            let least = self.session.shards.as_deref().map_or(1, Leader::shards) as f64;
            return Ok(Bounds { start: FIRST_CLIENTS.min(most).max(least), least, most, precision, whole: true });
        }
        let rate = self.most_at_once(benchmark)?;
        Ok(Bounds { start: rate / 2.0, least: rate / LEAST_RATE, most: rate * 1e4, precision, whole: false })
    }

    /// How many conversations a pass has, each prompt alone being one.
    pub(super) fn conversations(&self, benchmark: &Benchmark) -> Result<usize, RunError> {
        let WorkloadPlan { seed, .. } = benchmark.workload;
        Ok(Sequence::from(self.session.sources.prompts(&benchmark.workload, seed)?.prompts).conversations())
    }

    /// Requests per second that as many clients get as the server bears, by one pass.
    pub(super) fn most_at_once(&self, benchmark: &Benchmark) -> Result<f64, RunError> {
        let mut clients = SATURATING.min(benchmark.workload.num_prompts);
        let rate = loop {
            match self.measured_at(benchmark, LoadPoint::closed(clients), Half::First, 1, &|_| false)? {
                Ok((passes, _)) => break passes.first().map_or(0.0, begun_per_s),
                // One that refuses so many at once may do well with fewer.
                Err(_) if clients > 1 => clients /= 2,
                Err(error) => return Err(error),
            }
        };
        if rate <= 0.0 {
            return Err(RunError::Search(
                "the server completes no requests: there is no rate to start from".to_owned(),
            ));
        }
        let clients = load_words(clients as f64, Searched::Concurrency);
        let rate_in_words = load_words(rate, Searched::Rate);
        self.output.status(&format!("Searching {}: {clients} at once reach {rate_in_words}", benchmark.name));
        Ok(rate)
    }

    /// Takes a step.
    fn at(
        &self,
        benchmark: &Benchmark,
        find: &FindMax,
        step: Step,
        has_worked: bool,
    ) -> Result<(BoundaryPoint, Option<Report>), RunError> {
        let load = step.load();
        let (name, half) = match step {
            Step::Look(_) => ("look", Half::First),
            Step::Decide(_) => ("decide", Half::First),
            Step::Verify(_) => ("verify", Half::Second),
        };
        let mut benchmark = benchmark.clone();
        let looks_only = matches!(step, Step::Look(_));
        if looks_only {
            // Whoever decides at this load later sends others.
            benchmark.workload.seed = benchmark.workload.seed.saturating_add(SEEDS_OF_LOOKS);
        }
        let benchmark = &benchmark;
        let objectives = &benchmark.workload.objectives;
        let level = self.session.plan.confidence_level;
        let most = if looks_only { 1 } else { MOST_PASSES * benchmark.workload.sample_size };
        let enough = |done: &[PassMetrics]| {
            // What can't be judged, more passes can't judge either.
            !looks_only && !matches!(state(objectives, find, done, level), Ok((State::Undecided, _)))
        };
        let measured = self.measured_at(benchmark, find.searched.at(load, &find.pacing), half, most, &enough)?;
        let (passes, report) = match measured {
            Ok(measured) => measured,
            // A server that fails under a load does not hold it.
            Err(RunError::TooManyFailures { failed, sent, .. }) => {
                let because = Some(format!("{failed} of {sent} requests failed"));
                return Ok((BoundaryPoint::new(load, name, State::Missed, because), None));
            }
            // Too many connections for it, where fewer were none.
            Err(RunError::Connect(why)) if has_worked => {
                return Ok((BoundaryPoint::new(load, name, State::Missed, Some(why)), None));
            }
            Err(RunError::AllFailed { requests, .. }) => {
                let because = Some(format!("all {requests} requests failed"));
                return Ok((BoundaryPoint::new(load, name, State::Missed, because), None));
            }
            Err(error) => return Err(error),
        };
        let (state, because) = match looks_only {
            true => looked(objectives, find, &passes)?,
            false => state(objectives, find, &passes, level)?,
        };
        let mut point = BoundaryPoint::new(load, name, state, because);
        point.passes = passes.len();
        point.objectives =
            objectives.iter().map(|objective| judge(objective, &passes, level, Stopping::Sequential)).collect();
        Ok((point, (!looks_only).then_some(report)))
    }

    /// Passes at a load, with prompts of its own, as long as they are not enough. The inner error is what the load led to, the outer one what
    /// ends the search.
    pub(super) fn measured_at(
        &self,
        benchmark: &Benchmark,
        load: LoadPoint,
        half: Half,
        most: usize,
        enough: &dyn Fn(&[PassMetrics]) -> bool,
    ) -> Result<Result<(Vec<PassMetrics>, Report), RunError>, RunError> {
        let mut at = benchmark.clone();
        at.name = format!("{}/{}", at.workload.name, load.shape().name());
        // No load finds another's prompts in the server's cache.
        (at.load, at.workload.fresh_prompts) = (load, true);
        let died = |error| why_server_died(&self.session, error);
        let before = |_: &PromptsOf, server: &str| self.baselines.searched_before(&benchmark.name, server);
        let ready = Ready::new(&self.session, &at, half, before, self.output).map_err(died)?;
        ready.warm_up().map_err(died)?;
        let goal = self.budget.aside(&at, self.output);
        let next = |done: &[PassMetrics]| {
            settle_spread(&goal, &[(&ready, done)]);
            done.len() < most && !enough(done)
        };
        let from = if half == Half::Second { at.workload.sample_size } else { 0 };
        let run = ready.run(from, None, &self.sinks, next);
        let mut run = run.unwrap_or_else(Passes::ended_by);
        let ended = run.ended.take().map(died);
        self.session.stop.forgive_failures();
        match ended {
            Some(error @ (RunError::TooManyFailures { .. } | RunError::AllFailed { .. } | RunError::Connect(_))) => {
                return Ok(Err(error));
            }
            Some(error) => return Err(error),
            None => {}
        }
        let passes = run.whole.clone();
        Ok(Ok((passes, ready.report(run, None, self.commit.clone()))))
    }

    fn tell(&self, benchmark: &Benchmark, find: &FindMax, point: &BoundaryPoint) {
        let load = load_words(point.load, find.searched);
        let holds = match (point.state, point.step.as_str()) {
            (State::Met, "look") => "seems to hold",
            (State::Missed, "look") => "seems not to hold",
            (State::Met, _) => "holds",
            (State::Missed, _) => "does not hold",
            (State::Undecided, _) => "can't be decided",
        };
        let because = point.because.as_ref().map_or_else(String::new, |because| format!(": {because}"));
        let passes = if point.passes == 1 { "pass" } else { "passes" };
        let after = if point.passes == 0 { String::new() } else { format!(" after {} {passes}", point.passes) };
        self.output.status(&format!("Searching {}: {load} {holds}{after}{because}", benchmark.name));
    }
}

/// Requests that began per second: of conversations their first turns, which is what an open loop has a rate of.
pub(super) fn begun_per_s(pass: &PassMetrics) -> f64 {
    match &pass.conversations {
        Some(conversations) if pass.duration_s > 0.0 => conversations.started as f64 / pass.duration_s,
        _ => pass.rps,
    }
}

/// What one pass makes likely.
fn looked(
    objectives: &[Objective],
    find: &FindMax,
    passes: &[PassMetrics],
) -> Result<(State, Option<String>), RunError> {
    let Some(pass) = passes.first() else { return Ok((State::Undecided, None)) };
    let small = objectives.iter().find_map(|objective| Some((objective, too_small(objective.subject, passes)?)));
    if let Some((objective, why)) = small {
        return Err(RunError::Search(format!("{objective}: {why}")));
    }
    let broken =
        objectives.iter().find(|objective| !objective.subject.of(pass).is_some_and(|value| objective.holds(value)));
    Ok(match (broken, pass.steady.and_then(|steady| steady.growth)) {
        (Some(objective), _) => (State::Missed, Some(objective.to_string())),
        (None, _) if find.searched == Searched::Concurrency => (State::Met, None),
        (None, None) => (State::Missed, Some(NOT_STEADY.to_owned())),
        (None, Some(growth)) if growth > find.precision => (State::Missed, Some(PILES_UP.to_owned())),
        (None, Some(_)) => (State::Met, None),
    })
}

const PILES_UP: &str = "requests pile up";
const NOT_STEADY: &str = "a pass has no steady state, but a longer one may: raise --num-prompts or --duration";

/// Whether all objectives hold, and the load is one that the server keeps up with; and what decides that it is not so.
fn state(
    objectives: &[Objective],
    find: &FindMax,
    passes: &[PassMetrics],
    level: f64,
) -> Result<(State, Option<String>), RunError> {
    let mut all = State::Met;
    let mut because = None;
    for objective in objectives {
        let judged = judge(objective, passes, level, Stopping::Sequential);
        if let Some(why) = judged.why_not.filter(|_| passes.len() > 1) {
            return Err(RunError::Search(format!("{objective}: {why}")));
        }
        if judged.state == State::Missed {
            return Ok((State::Missed, Some(objective.to_string())));
        }
        if judged.state == State::Undecided {
            (all, because) = (State::Undecided, Some(objective.to_string()));
        }
    }
    if find.searched == Searched::Rate && !passes.is_empty() {
        if passes.iter().any(|pass| pass.steady.is_none()) {
            return Ok((State::Missed, Some(NOT_STEADY.to_owned())));
        }
        // Half of the precision: what asks for more than the server can do by all of it is found.
        match piles_up(passes, find.precision / 2.0, level, Stopping::Sequential) {
            State::Missed => return Ok((State::Missed, Some(PILES_UP.to_owned()))),
            State::Undecided if all == State::Met => {
                return Ok((State::Undecided, Some(format!("whether {PILES_UP}"))));
            }
            _ => {}
        }
    }
    Ok((all, because))
}

/// The report of the highest load that holds, or else of the lowest that was decided, with what the search found.
fn boundary_report(benchmark: &Benchmark, find: &FindMax, search: &Search, tried: Tried) -> Option<Report> {
    let found = search.found();
    let Tried { points, mut reports } = tried;
    reports.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = reports.iter().position(|(load, _)| Some(*load) == found.highest_met).unwrap_or(0);
    let mut report = (wanted < reports.len()).then(|| reports.swap_remove(wanted).1)?;
    let last_at = |load: Option<f64>| points.iter().rev().find(|point| Some(point.load) == load);
    let broken = last_at(found.lowest_missed).map_or_else(Vec::new, |point| {
        let missed = point.objectives.iter().filter(|judged| judged.state == State::Missed);
        let missed: Vec<String> = missed.map(|judged| judged.objective.clone()).collect();
        if missed.is_empty() { point.because.iter().cloned().collect() } else { missed }
    });
    report.id.clone_from(&benchmark.name);
    // Passes were made until they were enough.
    report.estimates = estimates(&report.passes, report.confidence_level, Stopping::Sequential);
    report.boundary = Some(Boundary {
        searched: find.searched,
        objectives: benchmark.workload.objectives.iter().map(ToString::to_string).collect(),
        precision: find.precision,
        highest_met: found.highest_met,
        lowest_missed: found.lowest_missed,
        undecided: found.undecided,
        not_monotonic: found.not_monotonic,
        verified: found.is_verified,
        broken,
        points,
        comparison: None,
    });
    Some(report)
}

impl BoundaryPoint {
    fn new(load: f64, step: &str, state: State, because: Option<String>) -> Self {
        Self { load, step: step.to_owned(), state, passes: 0, objectives: Vec::new(), because }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        load::{Arrival, Pacing},
        run::samples::report,
    };

    fn find(searched: Searched) -> FindMax {
        let (arrival, max_in_flight) = (Arrival::Constant, None);
        let pacing = Pacing { arrival, burstiness: 1.0, max_in_flight, time_scale: 1.0, spread: false };
        FindMax { searched, precision: 0.05, pacing }
    }

    /// Six passes of one completed request a second, whose requests pile up by so much; none for no steady state.
    fn passes(growth: Option<f64>) -> Vec<PassMetrics> {
        let pass = report(|r| {
            let latency = r["passes"][0]["e2e_s"].clone();
            r["passes"][0]["steady"] = growth.map_or(Value::Null, |growth| {
                json!({
                    "started_s": 0.0, "duration_s": 1.0, "share": 1.0, "completed": 100, "outside": 0, "rpm": 1.0,
                    "output_tokens_per_s": 1.0, "ttft_s": null, "itl_s": null, "e2e_s": latency, "in_flight": 1.0,
                    "growth": growth, "littles_law": 1.0
                })
            });
        });
        vec![pass.passes[0].clone(); 6]
    }

    #[test]
    fn a_load_holds_where_the_server_keeps_up_with_it() {
        let told = |because: &str| Some(because.to_owned());
        for (objective, searched, growth, expected) in [
            ("rps > 0.5", Searched::Rate, Some(0.01), (State::Met, None)),
            ("rps > 2", Searched::Rate, Some(0.01), (State::Missed, told("rps > 2"))),
            ("rps > 0.5", Searched::Rate, Some(0.06), (State::Missed, told(PILES_UP))),
            ("rps > 0.5", Searched::Rate, None, (State::Missed, told(NOT_STEADY))),
            // The clients of a closed loop pile nothing up.
            ("rps > 0.5", Searched::Concurrency, Some(0.06), (State::Met, None)),
            ("rps > 0.5", Searched::Concurrency, None, (State::Met, None)),
        ] {
            let (objectives, find, passes) = (Objective::parse(objective).unwrap(), find(searched), passes(growth));
            assert_eq!(looked(&objectives, &find, &passes).unwrap(), expected, "{objectives:?} {searched} {growth:?}");
            let decided = state(&objectives, &find, &passes, 0.95).unwrap();
            assert_eq!(decided, expected, "{objectives:?} {searched} {growth:?}");
            // Too few to say anything but that it can't be.
            let one = state(&objectives, &find, &passes[..1], 0.95).unwrap().0;
            assert!(one != State::Met, "{objectives:?} {searched} {growth:?}");
        }
        let small = Objective::parse("ttft_p99 < 300 ms").unwrap();
        for why in [
            looked(&small, &find(Searched::Rate), &passes(None)),
            state(&small, &find(Searched::Rate), &passes(None), 0.95),
        ] {
            assert!(why.unwrap_err().to_string().starts_with("ttft_p99 < 300 ms: p99 needs 459 requests per pass"));
        }
    }
}
