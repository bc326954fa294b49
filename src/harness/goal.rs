//! How many passes a benchmark makes: a number that is fixed, or as many as it takes.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use humantime::format_duration;

use crate::{
    compare::{Standing, Terms, precision, standings},
    config::{Benchmark, MOST_PASSES, Plan, Resolve},
    metrics::{Objective, PassMetrics},
    report::{Output, change_of, share},
    run::Report,
    stats::{State, Stopping, Verdict, judge},
};

/// Fewer say nothing, and the time of each is not known yet.
const LEAST: usize = 2;

/// What the benchmarks of a run have for their passes, all together.
pub struct Budget {
    resolve: Option<Resolve>,
    used: Cell<Duration>,
    /// Benchmarks that have not begun yet.
    left: Cell<usize>,
    /// Gated metrics of all benchmarks, each of which is corrected for the others.
    together: usize,
}

/// What the passes of a benchmark are compared with.
#[derive(Clone, Copy)]
pub enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// An earlier run's.
    Earlier(&'a [PassMetrics]),
    /// Those of another server, as many, made in turn with them.
    InTurn(&'a [PassMetrics]),
}

/// What one benchmark is to reach.
pub struct Goal<'a> {
    budget: &'a Budget,
    name: &'a str,
    terms: &'a Terms,
    objectives: &'a [Objective],
    planned: usize,
    output: Output,
    /// What it may take.
    time: Duration,
    began: Cell<Option<Instant>>,
}

impl Budget {
    /// Of these benchmarks.
    pub fn new<'b>(plan: &Plan, benchmarks: impl Iterator<Item = &'b Terms> + Clone) -> Self {
        Self {
            resolve: plan.resolve,
            used: Cell::default(),
            left: Cell::new(benchmarks.clone().count()),
            together: benchmarks.map(|terms| terms.gate.len()).sum::<usize>().max(1),
        }
    }

    /// For the next benchmark, which shares what is left with those after it.
    pub fn goal<'a>(&'a self, benchmark: &'a Benchmark, output: Output) -> Goal<'a> {
        let left = self.left.replace(self.left.get().saturating_sub(1));
        self.goal_of(benchmark, left, output)
    }

    /// For passes that are no benchmark's own, and take nobody's share.
    pub fn aside<'a>(&'a self, benchmark: &'a Benchmark, output: Output) -> Goal<'a> {
        self.goal_of(benchmark, self.left.get(), output)
    }

    /// Of benchmarks that will not be measured: what they would have had is for the others.
    pub fn release(&self, benchmarks: usize) {
        self.left.set(self.left.get().saturating_sub(benchmarks));
    }

    fn goal_of<'a>(&'a self, benchmark: &'a Benchmark, left: usize, output: Output) -> Goal<'a> {
        let Benchmark { name, workload, .. } = benchmark;
        let left = left.max(1);
        let all = self.resolve.map_or(Duration::ZERO, |resolve| resolve.budget);
        let time = all.saturating_sub(self.used.get()) / left as u32;
        Goal {
            budget: self,
            name,
            terms: &workload.terms,
            objectives: &workload.objectives,
            planned: workload.sample_size,
            output,
            time,
            began: Cell::new(None),
        }
    }
}

impl Goal<'_> {
    /// How many passes there will be; `None` where nobody knows yet.
    pub fn planned(&self) -> Option<usize> {
        self.budget.resolve.is_none().then_some(self.planned)
    }

    /// How many passes of this length fit, as far as that can be told.
    pub fn expected(&self, round: Duration) -> usize {
        self.planned().unwrap_or_else(|| (self.time.as_secs_f64() / round.as_secs_f64().max(1e-3)) as usize)
    }

    /// Says what the time can resolve, if the noise is that of the last run and of what was measured in turn with it.
    pub fn foresee(&self, new: &Report, base: &Report) {
        let Some(resolve) = self.budget.resolve else { return };
        let started = |pass: &PassMetrics| humantime::parse_rfc3339(&pass.started_at).ok();
        let ends = new.passes.first().and_then(started).zip(new.passes.last().and_then(started));
        let took = ends.and_then(|(first, last)| last.duration_since(first).ok()).filter(|_| new.passes.len() > 1);
        let Some(round) = took.map(|took| took / (new.passes.len() - 1) as u32) else { return };
        let fit = self.expected(round).min(MOST_PASSES);
        if fit < LEAST {
            let (round, time) = (words(round), words(self.time));
            let told = format!(
                "Benchmarking {}: a pass takes {round}, so {time} is too short to tell anything: raise --time-budget",
                self.name
            );
            return self.output.status(&told);
        }
        let of = |standing: Standing| {
            let resolution = standing.resolution(fit).filter(|share| *share < 1.0)?;
            Some(format!("{} of {}", share(resolution), standing.metric))
        };
        let all: Vec<String> =
            standings(&new.passes, &base.passes, self.terms, self.budget.together).into_iter().filter_map(of).collect();
        if all.is_empty() {
            return;
        }
        let (time, all) = (words(self.time), all.join(" and "));
        self.output.status(&format!(
            "Benchmarking {}: about {fit} passes fit into {time}; with the noise of the last run they can detect changes of {all}; \
             --resolve asks for {}",
            self.name,
            share(resolve.change)
        ));
    }

    /// Whether more passes are to be made after these; says where it stands. `stays` where the next one goes to the process of the
    /// last: nothing ends in the middle of one.
    pub fn goes_on(&self, new: &[PassMetrics], beside: Beside, stays: bool) -> bool {
        let done = new.len();
        let Some(resolve) = self.budget.resolve else { return done < self.planned };
        let Some(began) = self.began.get() else {
            self.began.set(Some(Instant::now()));
            return true;
        };
        if stays && !matches!(beside, Beside::Earlier(_)) {
            return true;
        }
        let took = began.elapsed();
        let round = took / done.max(1) as u32;
        let (is_settled, mut told) = match beside {
            Beside::Nothing => self.alone(new, resolve),
            Beside::Earlier(base) | Beside::InTurn(base) => self.compared(new, base, round),
        };
        let judged = self.objectives.iter();
        let judged = judged.map(|objective| judge(objective, new, self.terms.confidence_level, Stopping::Sequential));
        let mut is_decided = true;
        for judged in judged {
            told += &format!("; {} {}", judged.objective, judged.state);
            // What these passes can't say, more of them can't either.
            is_decided &= judged.state != State::Undecided || judged.why_not.is_some();
        }
        // A baseline has no more than it has.
        let is_exhausted = matches!(beside, Beside::Earlier(base) if done >= base.len());
        let fits = took + round <= self.time;
        let is_enough = (is_settled || is_exhausted) && is_decided;
        let goes_on = done < LEAST || !is_enough && fits && done < MOST_PASSES;
        let passes = if done == 1 { "pass" } else { "passes" };
        let end = match goes_on {
            true => String::new(),
            false if is_enough && is_settled => "; that is enough".to_owned(),
            false if is_enough => "; the baseline has no more passes to compare with".to_owned(),
            false if !fits => format!("; the time budget is used up ({})", words(self.time)),
            false => format!("; a benchmark makes at most {MOST_PASSES} passes"),
        };
        self.output.status(&format!(
            "Benchmarking {}: after {done} {passes} in {}, {told}{end}",
            self.name,
            words(took)
        ));
        if !goes_on {
            self.budget.used.set(self.budget.used.get() + took);
        }
        goes_on
    }

    fn compared(&self, new: &[PassMetrics], base: &[PassMetrics], round: Duration) -> (bool, String) {
        let standings = standings(new, base, self.terms, self.budget.together);
        let tell = |standing: &Standing| {
            let change = match standing.ends {
                Some(ends) => change_of(standing.change, Some(ends)),
                None if standing.change.is_nan() => return format!("{}: too few passes to tell", standing.metric),
                None => change_of(standing.change, None),
            };
            let state = match (standing.verdict, standing.passes_needed) {
                (Verdict::Inconclusive, Some(n)) if n > new.len() => {
                    let more = n - new.len();
                    format!("open, about {more} more passes ({}) would settle it", words(round * more as u32))
                }
                (Verdict::Inconclusive, _) => "open".to_owned(),
                (verdict, _) => verdict.to_string(),
            };
            format!("{} {change} {state}", standing.metric)
        };
        let all: Vec<String> = standings.iter().map(tell).collect();
        (standings.iter().all(Standing::is_settled), all.join("; "))
    }

    fn alone(&self, new: &[PassMetrics], resolve: Resolve) -> (bool, String) {
        let reaches = precision(new, self.terms);
        let tell = |(metric, reach): &(_, Option<f64>)| match reach {
            Some(reach) => format!("{metric} is known to ±{}", share(*reach)),
            None => format!("{metric}: too few passes to tell"),
        };
        let all: Vec<String> = reaches.iter().map(tell).collect();
        (reaches.iter().all(|(_, reach)| reach.is_some_and(|reach| reach <= resolve.change)), all.join("; "))
    }
}

/// To the second.
fn words(time: Duration) -> String {
    format_duration(Duration::from_secs(time.as_secs_f64().round() as u64)).to_string()
}
