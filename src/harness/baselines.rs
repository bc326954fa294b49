//! What a run is compared with, and where its results are kept.

use std::path::PathBuf;

use super::{
    RunError,
    prompt_cache::{PromptsOf, last_of, sent_by},
    ready::package,
};
use crate::{
    baseline::{AGAINST, BASE, BaselineError, Compare, History, NEW, PARTIAL, Store, Whose, current_commit, to_json},
    config::{Arguments, Plan},
    files::write_whole,
    report::{CriterionFiles, Output, Outputs},
    run::{Baseline, Calibration, Commit, Report},
};

/// The files of earlier runs and of this one.
pub struct Baselines<'a> {
    /// The target directory's folder.
    pub store: Store,
    /// The runs of all commits.
    pub history: History,
    plan: &'a Plan,
    /// Where git is asked.
    folder: PathBuf,
    compare: Compare,
    save_as: Option<String>,
    load: Option<String>,
    discard: bool,
    /// Whether pages with plots are wanted.
    pages: bool,
}

/// What there was before a run.
pub struct Earlier {
    /// What the run is compared with.
    pub baseline: Option<Baseline>,
    /// The last run, which moves to `base`.
    pub last_run: Option<Report>,
    /// How far identical runs lie apart.
    pub calibration: Option<Calibration>,
}

impl<'a> Baselines<'a> {
    /// As the command line says.
    pub fn new(arguments: &Arguments, plan: &'a Plan, store: Store) -> Self {
        let history = History::at(plan.history.clone().unwrap_or_else(|| store.history()));
        Self {
            store,
            history,
            plan,
            folder: std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into()).into(),
            compare: arguments.compare(),
            save_as: arguments.save_baseline.clone(),
            load: arguments.load_baseline.clone(),
            discard: arguments.discard_baseline,
            pages: !arguments.noplot,
        }
    }

    /// The commit that is checked out. The files that runs write make no tree dirty.
    pub fn commit(&self) -> Option<Commit> {
        let written: Vec<PathBuf> =
            [Some(self.csv()), Some(self.history.path().to_owned()), self.plan.save_requests.clone()]
                .into_iter()
                .flatten()
                .collect();
        current_commit(&self.folder, &written)
    }

    /// Reads what a run needs of earlier ones, before it measures: a file that can't be used ends it here, and is not
    /// written over.
    pub fn earlier(&self, benchmark: &str, warn: &mut dyn FnMut(String)) -> Result<Earlier, BaselineError> {
        Ok(Earlier {
            baseline: self.find(&self.compare, benchmark, warn)?,
            last_run: self.store.read_report(benchmark, NEW)?,
            calibration: self.store.read_calibration(benchmark)?,
        })
    }

    /// The earlier run that has sent some of these prompts to that server, if one has: of the history, of this benchmark's
    /// files, or its calibration.
    pub fn sent_before(&self, benchmark: &str, prompts: &PromptsOf, server: &str) -> Option<String> {
        let runs = self.earlier_runs(benchmark);
        let calibration = self.store.read_calibration(benchmark).ok().flatten();
        sent_by(&runs, calibration.as_ref(), server, prompts)
    }

    /// Those of the history, and what is kept of the benchmark.
    fn earlier_runs(&self, benchmark: &str) -> Vec<Report> {
        // What can't be read has been told already, or ends the run elsewhere.
        let mut runs = self.history.read(&mut |_| ()).unwrap_or_default();
        runs.extend([NEW, BASE, PARTIAL].into_iter().filter_map(|slot| self.store.read_report(benchmark, slot).ok()?));
        runs
    }

    /// The earlier search of that name on that server, if there was one: it has sent the same prompts at the same loads.
    pub fn searched_before(&self, benchmark: &str, server: &str) -> Option<String> {
        let searched = |run: &&Report| {
            run.id == benchmark
                && run.boundary.is_some()
                && run.server.identity() == server
                && run.workload.nonce_seed.is_none()
        };
        last_of(self.earlier_runs(benchmark).iter().filter(searched))
    }

    /// The results that are to be taken instead of measured; `None` where the benchmark is to be measured.
    pub fn loaded(&self, benchmark: &str, warn: &mut dyn FnMut(String)) -> Result<Option<Report>, BaselineError> {
        let Some(name) = &self.load else { return Ok(None) };
        Ok(self.find(&Compare::Named(name.clone()), benchmark, warn)?.map(|found| found.report))
    }

    fn find(
        &self,
        compare: &Compare,
        benchmark: &str,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Baseline>, BaselineError> {
        let whose = Whose { package: package(), server: self.plan.server.identity() };
        compare.find(&self.store, &self.history, &self.folder, benchmark, &whose, warn)
    }

    /// Where the sinks of this run write to.
    pub fn outputs(&self, output: Output) -> Outputs {
        // Of results that are not to be kept, nothing but what was asked for by name.
        let (kept, measured) = (self.load.is_none() && !self.discard, self.load.is_none());
        Outputs {
            output,
            folder: self.store.root().to_owned(),
            csv: if kept { Some(self.csv()) } else { self.plan.csv.clone().filter(|_| measured) },
            csv_format: self.plan.csv_format,
            requests: self.plan.save_requests.clone(),
            pages: self.has_pages().then(|| self.store.root().to_owned()),
            criterion: kept.then(|| CriterionFiles {
                root: self.store.criterion(),
                slots: self.slots().map(str::to_owned).collect(),
                last_run: BASE.to_owned(),
                resamples: self.plan.nresamples,
            }),
        }
    }

    /// Whether pages with plots are written.
    pub fn has_pages(&self) -> bool {
        cfg!(feature = "html") && self.pages && self.load.is_none() && !self.discard
    }

    /// What the last run of a benchmark was compared with, where it is still there.
    pub fn baseline_of(&self, report: &Report, history: &[Report]) -> Option<Report> {
        let comparison = report.comparison.as_ref()?;
        let is_it = |other: &Report| other.started_at == comparison.baseline_started_at;
        let slots = [BASE, AGAINST, comparison.baseline.as_str()];
        // What can't be read is not there.
        let kept = slots.into_iter().filter_map(|slot| self.store.read_report(&report.id, slot).ok()?).find(is_it);
        kept.or_else(|| history.iter().find(|other| other.id == report.id && is_it(other)).cloned())
    }

    /// Keeps a run's report and its line of the history. Each is tried, whatever became of the others; gives what went wrong.
    pub fn keep(&self, report: &Report) -> Vec<RunError> {
        if self.load.is_some() || self.discard {
            return Vec::new();
        }
        let mut problems: Vec<RunError> =
            self.store.retire_last_run(&report.id).map_err(RunError::from).err().into_iter().collect();
        let written = self.write_report(report);
        if written.is_empty() {
            self.store.remove_partial(&report.id);
        }
        problems.extend(written);
        problems.extend(self.history.append(report).err().map(RunError::from));
        problems
    }

    /// Keeps the other side of a run that was measured in turn; in the history too, where it was built from a commit.
    pub fn keep_beside(&self, report: &Report) -> Vec<RunError> {
        if self.discard {
            return Vec::new();
        }
        let write = || -> Result<(), RunError> {
            let json = to_json(report).map_err(|e| RunError::Setup(e.to_string()))?;
            Ok(write_whole(&self.store.report(&report.id, AGAINST), json.as_bytes())?)
        };
        let mut problems: Vec<RunError> = write().err().into_iter().collect();
        if report.commit.is_some() {
            problems.extend(self.history.append(report).err().map(RunError::from));
        }
        problems
    }

    /// Keeps what there is of a run that ended early, unless nothing is to be kept; gives the file.
    pub fn keep_partial(&self, report: &Report) -> Result<Option<PathBuf>, RunError> {
        if self.discard {
            return Ok(None);
        }
        let path = self.store.report(&report.id, PARTIAL);
        let json = to_json(report).map_err(|e| RunError::Setup(e.to_string()))?;
        write_whole(&path, json.as_bytes())?;
        Ok(Some(path))
    }

    /// Writes the report anew, and into the history, with the verdicts that all benchmarks together led to; gives what went
    /// wrong.
    pub fn keep_verdicts(&self, report: &Report) -> Vec<RunError> {
        if self.discard || self.load.is_some() || report.comparison.is_none() {
            return Vec::new();
        }
        let mut problems = self.write_report(report);
        problems.extend(self.history.append_verdicts(report).err().map(RunError::from));
        problems
    }

    /// Keeps what a calibration found.
    pub fn keep_calibration(&self, calibration: &Calibration) -> Result<PathBuf, RunError> {
        let path = self.store.calibration(&calibration.run.id);
        let json = to_json(calibration).map_err(|e| RunError::Setup(e.to_string()))?;
        write_whole(&path, json.as_bytes())?;
        Ok(path)
    }

    fn write_report(&self, report: &Report) -> Vec<RunError> {
        let json = match to_json(report) {
            Ok(json) => json,
            Err(e) => return vec![RunError::Setup(e.to_string())],
        };
        let write = |slot: &str| write_whole(&self.store.report(&report.id, slot), json.as_bytes());
        self.slots().map(write).filter_map(Result::err).map(RunError::from).collect()
    }

    fn slots(&self) -> impl Iterator<Item = &str> {
        std::iter::once(NEW).chain(self.save_as.as_deref())
    }

    fn csv(&self) -> PathBuf {
        self.plan.csv.clone().unwrap_or_else(|| self.store.csv())
    }
}
