//! Objectives as ordinary tests: a trial for each objective of each benchmark.

use std::{
    collections::HashMap,
    env,
    io::{Write, stderr},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Arguments as TestArguments, Completion, Failed, Trial};
use serde::{Deserialize, Serialize};

use super::{
    RunError,
    conclusion::EXIT_USAGE,
    ready::package,
    run::{measure_alone, store, tell_error},
};
use crate::{
    baseline::Store,
    config::{Arguments, ConfigError, Plan, target_name},
    files::{read_if_there, write_whole},
    report::{Output, Style, measured_words, print_block},
    run::Report,
    stats::State,
};

/// Set by nextest, for all processes of one of its runs.
const NEXTEST_RUN: &str = "NEXTEST_RUN_ID";

/// Gives the plan that code, file and these arguments make.
pub(super) type Planner = Box<dyn Fn(&Arguments) -> Result<Plan, ConfigError> + Send + Sync>;

/// What the trials of one process share.
struct Measurements {
    planner: Planner,
    quiet: bool,
    known: Mutex<HashMap<String, Outcome>>,
}

/// What became of a benchmark: nextest's processes read it from one another.
#[derive(Clone, Serialize, Deserialize)]
enum Outcome {
    #[serde(rename = "report")]
    Measured(Box<Report>),
    #[serde(rename = "error")]
    Failed(String),
}

/// A benchmark's outcome in a file.
#[derive(Serialize, Deserialize)]
struct Kept {
    nextest_run: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Lists and runs the objectives of a plan as libtest would its tests.
pub(super) fn main(planner: Planner) -> ExitCode {
    let tests = TestArguments::from_args();
    let arguments = match Arguments::of_variables(&[]) {
        Ok(arguments) => arguments,
        Err(e) => {
            _ = e.print();
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let plan = match planner(&arguments) {
        Ok(plan) => plan,
        Err(e) => {
            tell_error(&RunError::from(e));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if plan.benchmarks.iter().all(|benchmark| benchmark.workload.objectives.is_empty()) && !tests.list {
        let how = "add some to tachometer.toml, as in objective = [\"ttft_p99 < 300 ms\"]";
        _ = writeln!(stderr(), "There are no objectives to test: {how}");
    }
    let no_server = (!plan.has_server)
        .then_some("no server is configured: set one, or `embedded`, in TACHOMETER_SERVER or tachometer.toml");
    let shared = Arc::new(Measurements { planner, quiet: tests.quiet, known: Mutex::default() });
    let mut trials = Vec::new();
    // A search is no test: it ends at a load that holds, wherever that is. And a sweep goes beyond what holds.
    for benchmark in plan.benchmarks.iter().filter(|b| b.find_max.is_none() && b.sweep.is_none()) {
        for objective in &benchmark.workload.objectives {
            let (shared, id, objective) = (shared.clone(), benchmark.name.clone(), objective.to_string());
            let name = format!("{id}: {objective}");
            let trial = Trial::ignorable_test(name, move || match no_server {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => shared.judge(&id, &objective).map(|()| Completion::Completed),
            });
            // nextest knows no test that ignores itself: to it, this one would have passed.
            trials.push(trial.with_ignored_flag(no_server.is_some() && env::var_os("NEXTEST").is_some()));
        }
    }
    libtest_mimic::run(&tests, trials).exit_code()
}

impl Measurements {
    /// Fails unless the objective is met.
    fn judge(&self, id: &str, objective: &str) -> Result<(), Failed> {
        let report = match self.outcome(id) {
            Outcome::Measured(report) => report,
            Outcome::Failed(why) => return Err(Failed::from(why)),
        };
        let judged = report.objectives.iter().find(|judged| judged.objective == objective);
        let judged = judged.ok_or_else(|| Failed::from("it was not judged"))?;
        if judged.state == State::Met {
            return Ok(());
        }
        let mut text = format!("{}: {}\n\n", judged.state, measured_words(judged, report.passes.len())).into_bytes();
        print_block(&mut text, &report, Style::default()).map_err(Failed::from)?;
        Err(Failed::from(String::from_utf8_lossy(&text)))
    }

    /// Of a benchmark, measured the first time that it is asked for.
    fn outcome(&self, id: &str) -> Outcome {
        // A panic in another test has left nothing half done.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(id.to_owned()).or_insert_with(|| self.of_all_processes(id)).clone()
    }

    /// nextest runs each test in a process of its own: the first one measures, and the others of the same run read.
    fn of_all_processes(&self, id: &str) -> Outcome {
        let Ok(nextest_run) = env::var(NEXTEST_RUN) else { return self.measure(id) };
        let kept = || -> Result<Outcome, RunError> {
            let plan = (self.planner)(&self.arguments()?)?;
            let store = Store::at(store(&plan).root().join("objectives"));
            let _lock = store.lock(|| (), || false)?;
            // Another package's test, or another target's, may have a benchmark of that name.
            let whose = package().unwrap_or_default();
            let path = store.root().join(whose).join(target_name()).join(id).join("measured.json");
            let known = read_if_there(&path)?.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
            if let Some(known) = known.filter(|known| known.nextest_run == nextest_run) {
                return Ok(known.outcome);
            }
            let kept = Kept { nextest_run, outcome: self.measure(id) };
            let json = serde_json::to_string(&kept).map_err(|e| RunError::Setup(e.to_string()))?;
            write_whole(&path, json.as_bytes())?;
            Ok(kept.outcome)
        };
        kept().unwrap_or_else(|e| Outcome::Failed(e.to_string()))
    }

    fn measure(&self, id: &str) -> Outcome {
        let measured = || -> Result<Report, RunError> {
            let arguments = self.arguments()?;
            let mut plan = (self.planner)(&arguments)?;
            // It is one server that has objectives.
            plan.against = None;
            measure_alone(&arguments, &plan, id, Output { quiet: self.quiet, ..Output::default() })
        };
        match measured() {
            Ok(report) => Outcome::Measured(Box::new(report)),
            Err(e) => Outcome::Failed(e.to_string()),
        }
    }

    /// Nothing is kept: no test moves a baseline.
    fn arguments(&self) -> Result<Arguments, RunError> {
        Arguments::of_variables(&["--discard-baseline"]).map_err(|e| RunError::Setup(e.to_string()))
    }
}
