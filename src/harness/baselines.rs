//! What a run is compared with, and where its results are kept.

use std::path::PathBuf;

use super::RunError;
use crate::{
    baseline::{BASE, Baseline, BaselineError, Commit, Compare, History, NEW, PARTIAL, Store, StoreError, write_whole},
    compare::Calibration,
    config::{Cli, Plan},
    report::{Report, append_csv, write_criterion, write_criterion_change},
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
}

/// What there was before a run.
pub struct Earlier {
    /// What the run is compared with.
    pub baseline: Option<Baseline>,
    /// The last run, which moves to `base`.
    last_run: Option<Report>,
    /// How far identical runs lie apart.
    pub calibration: Option<Calibration>,
}

impl<'a> Baselines<'a> {
    /// As the command line says.
    pub fn new(cli: &Cli, plan: &'a Plan) -> Self {
        let store = Store::find();
        let history = History::at(plan.history.clone().unwrap_or_else(|| store.history()));
        Self {
            store,
            history,
            plan,
            folder: std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into()).into(),
            compare: cli.compare(),
            save_as: cli.save_baseline.clone(),
            load: cli.load_baseline.clone(),
            discard: cli.discard_baseline,
        }
    }

    /// The commit that is checked out. The files that runs write make no tree dirty.
    pub fn commit(&self) -> Option<Commit> {
        let written: Vec<PathBuf> =
            [Some(self.csv()), Some(self.history.path().to_owned()), self.plan.save_requests.clone()]
                .into_iter()
                .flatten()
                .collect();
        Commit::of(&self.folder, &written)
    }

    /// Reads what a run needs of earlier ones, before it measures: a file that can't be used ends it here, and is not
    /// written over.
    pub fn earlier(&self, benchmark: &str, warn: &mut dyn FnMut(String)) -> Result<Earlier, BaselineError> {
        Ok(Earlier {
            baseline: self.compare.find(&self.store, &self.history, &self.folder, benchmark, warn)?,
            last_run: self.store.read_report(benchmark, NEW)?,
            calibration: self.store.read_calibration(benchmark)?,
        })
    }

    /// The results that are to be taken instead of measured; `None` where the benchmark is to be measured.
    pub fn loaded(&self, benchmark: &str, warn: &mut dyn FnMut(String)) -> Result<Option<Report>, BaselineError> {
        let Some(name) = &self.load else { return Ok(None) };
        let found = Compare::Named(name.clone()).find(&self.store, &self.history, &self.folder, benchmark, warn)?;
        Ok(found.map(|found| found.report))
    }

    /// Keeps a run's results in all their files.
    pub fn keep(&self, report: &Report, earlier: &Earlier) -> Result<(), RunError> {
        if self.load.is_some() {
            return Ok(());
        }
        if self.discard {
            // Nothing but what was asked for by name.
            return Ok(self.plan.csv.iter().try_for_each(|path| append_csv(path, self.plan.csv_format, report))?);
        }
        let (criterion, resamples) = (self.store.criterion(), self.plan.nresamples);
        // The report first: the other files can be made from it. A file that can't be written costs no other one.
        self.store.retire_last_run(&report.id)?;
        self.write_report(report)?;
        self.store.remove_partial(&report.id);
        let base = earlier.baseline.as_ref().map(|baseline| &baseline.report);
        let last = earlier.last_run.as_ref();
        let files = [
            last.map_or(Ok(()), |last| write_criterion(&criterion, BASE, last, resamples)),
            self.slots().try_for_each(|slot| write_criterion(&criterion, slot, report, resamples)),
            write_criterion_change(&criterion, report, base, resamples),
            append_csv(&self.csv(), self.plan.csv_format, report),
            self.history.append(&Report { comparison: None, ..report.clone() }),
        ];
        Ok(files.into_iter().collect::<Result<(), StoreError>>()?)
    }

    /// Keeps what there is of a run that ended early, unless nothing is to be kept; gives the file.
    pub fn keep_partial(&self, report: &Report) -> Result<Option<PathBuf>, RunError> {
        if self.discard {
            return Ok(None);
        }
        let path = self.store.report(&report.id, PARTIAL);
        let json = report.to_json().map_err(|e| RunError::Setup(e.to_string()))?;
        write_whole(&path, json.as_bytes())?;
        Ok(Some(path))
    }

    /// Writes the report anew, with the verdicts that all benchmarks together led to.
    pub fn keep_verdicts(&self, report: &Report) -> Result<(), RunError> {
        if self.discard || self.load.is_some() || report.comparison.is_none() {
            return Ok(());
        }
        self.write_report(report)
    }

    /// Keeps what a calibration found.
    pub fn keep_calibration(&self, calibration: &Calibration) -> Result<PathBuf, RunError> {
        let path = self.store.calibration(&calibration.run.id);
        let json = calibration.to_json().map_err(|e| RunError::Setup(e.to_string()))?;
        write_whole(&path, json.as_bytes())?;
        Ok(path)
    }

    fn write_report(&self, report: &Report) -> Result<(), RunError> {
        let json = report.to_json().map_err(|e| RunError::Setup(e.to_string()))?;
        let write = |slot: &str| -> Result<(), StoreError> {
            write_whole(&self.store.report(&report.id, slot), json.as_bytes())
        };
        Ok(self.slots().try_for_each(write)?)
    }

    fn slots(&self) -> impl Iterator<Item = &str> {
        std::iter::once(NEW).chain(self.save_as.as_deref())
    }

    fn csv(&self) -> PathBuf {
        self.plan.csv.clone().unwrap_or_else(|| self.store.csv())
    }
}
