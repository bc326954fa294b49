//! The target directory's `tachometer/` folder.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{BaselineError, calibration_from_json, report_from_json};
use crate::{
    files::{FileError, create_parent, read_if_there},
    run::{Calibration, Report},
};

/// Where a run's files go.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    criterion: PathBuf,
}

/// Slot of the last run.
pub const NEW: &str = "new";
/// Slot of the run before.
pub const BASE: &str = "base";
/// Slot of what a run was measured in turn with.
pub const AGAINST: &str = "against";
/// Slot of a run that ended early.
pub const PARTIAL: &str = "partial";
const REPORT: &str = "report.json";

impl Store {
    /// `tachometer/` in the target directory that cargo uses, wherever that is.
    pub fn find() -> Self {
        let target = target_directory();
        Self { root: target.join("tachometer"), criterion: target.join("criterion") }
    }

    /// A store at any folder, criterion's files within.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { criterion: root.join("criterion"), root }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The usual place of the CSV.
    pub fn csv(&self) -> PathBuf {
        self.root.join("profile_api_server.csv")
    }

    /// The usual place of the history.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    /// Where criterion keeps its files: `CRITERION_HOME`, or `criterion/` in the target directory.
    pub fn criterion(&self) -> PathBuf {
        std::env::var_os("CRITERION_HOME").map_or_else(|| self.criterion.clone(), PathBuf::from)
    }

    /// Where a benchmark's noise floor stands.
    pub fn calibration(&self, benchmark: &str) -> PathBuf {
        self.root.join(benchmark).join("calibration.json")
    }

    /// A benchmark's report in a slot: [`NEW`], [`BASE`] or a baseline's name.
    pub fn report(&self, benchmark: &str, slot: &str) -> PathBuf {
        self.root.join(benchmark).join(slot).join(REPORT)
    }

    /// Reads a benchmark's report from a slot; `None` where there is none.
    ///
    /// # Errors
    /// Where it can't be read, or is not a report.
    pub fn read_report(&self, benchmark: &str, slot: &str) -> Result<Option<Report>, BaselineError> {
        let path = self.report(benchmark, slot);
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let unreadable = |why| BaselineError::Unreadable { path: path.display().to_string(), why };
        report_from_json(&text).map(Some).map_err(unreadable)
    }

    /// Reads a benchmark's noise floor; `None` where it was never calibrated.
    ///
    /// # Errors
    /// Where it can't be read, or is not one.
    pub fn read_calibration(&self, benchmark: &str) -> Result<Option<Calibration>, BaselineError> {
        let path = self.calibration(benchmark);
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let unreadable = |why| BaselineError::Unreadable { path: path.display().to_string(), why };
        calibration_from_json(&text).map(Some).map_err(unreadable)
    }

    /// Moves the last run's report to the slot `base`, where there is one.
    ///
    /// # Errors
    /// Where the folder can't be written.
    pub fn retire_last_run(&self, benchmark: &str) -> Result<(), FileError> {
        let (new, base) = (self.report(benchmark, NEW), self.report(benchmark, BASE));
        if new.exists() {
            create_parent(&base)?;
            fs::rename(&new, &base).map_err(FileError::new("write", &base))?;
        }
        Ok(())
    }

    /// Removes what an earlier run that ended early has left of a benchmark.
    pub fn remove_partial(&self, benchmark: &str) {
        // Mostly there is none; one that stays is only old.
        _ = fs::remove_dir_all(self.root.join(benchmark).join(PARTIAL));
    }

    /// Takes the right to measure: two runs at once would disturb each other's numbers. `waiting` is called where another
    /// run has it; `None` where `stop` says that it is not to be waited for any longer. The right ends with the value.
    ///
    /// # Errors
    /// Where the folder can't be written.
    pub fn lock(&self, waiting: impl FnOnce(), stop: impl Fn() -> bool) -> Result<Option<Lock>, FileError> {
        let path = self.root.join(".lock");
        create_parent(&path)?;
        let file = File::create(&path).map_err(FileError::new("create", &path))?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Lock { _file: file })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(FileError::new("lock", &path)(e)),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            if stop() {
                return Ok(None);
            }
            std::thread::sleep(LOCK_POLL);
        }
    }
}

/// How often a run that waits for another one looks whether it has ended.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The right to measure, see [`Store::lock`].
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// cargo marks its target directory with CACHEDIR.TAG; the bench's executable lies somewhere below.
fn target_directory() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // A relative one is meant from where cargo was called, which is not told.
    if let Some(named) = named.as_ref().filter(|named| named.is_absolute()) {
        return named.clone();
    }
    let executable = std::env::current_exe().unwrap_or_default();
    // With --target there is a marked folder for the triple inside the marked target directory.
    let marked = executable.ancestors().filter(|folder| folder.join("CACHEDIR.TAG").is_file()).last();
    match marked {
        Some(folder) => folder.to_owned(),
        None => {
            let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
            root.join(named.unwrap_or_else(|| "target".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{baseline::to_json, files::write_whole, run::samples::report};

    #[test]
    fn files_have_their_places() {
        let store = Store::at("t/tachometer");
        let path = |path: PathBuf| path.display().to_string();
        assert_eq!(path(store.report("a/c1", NEW)), "t/tachometer/a/c1/new/report.json");
        assert_eq!(path(store.calibration("a/c1")), "t/tachometer/a/c1/calibration.json");
        assert_eq!(
            (path(store.csv()), path(store.history())),
            ("t/tachometer/profile_api_server.csv".to_owned(), "t/tachometer/history.jsonl".to_owned(),)
        );
        assert_eq!(store.root(), Path::new("t/tachometer"));
        if std::env::var_os("CRITERION_HOME").is_none() {
            assert_eq!(path(store.criterion()), "t/tachometer/criterion");
        }
        // The tests' executable lies in a target directory that cargo has marked.
        let found = Store::find();
        assert!(found.root().ends_with("tachometer"), "{}", found.root().display());
        let target = found.root().parent().unwrap();
        assert!(target.is_absolute(), "{}", target.display());
        assert!(std::env::current_exe().unwrap().starts_with(target), "{}", target.display());
    }

    #[test]
    fn the_last_run_retires_and_a_partial_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        store.retire_last_run("a/c1").unwrap();
        assert_eq!(store.read_report("a/c1", BASE).unwrap(), None);
        let run = report(|_| ());
        for slot in [NEW, PARTIAL] {
            write_whole(&store.report("a/c1", slot), to_json(&run).unwrap().as_bytes()).unwrap();
        }
        store.retire_last_run("a/c1").unwrap();
        assert_eq!(store.read_report("a/c1", BASE).unwrap(), Some(run));
        assert_eq!(store.read_report("a/c1", NEW).unwrap(), None);
        store.remove_partial("a/c1");
        assert!(!folder.path().join("a/c1/partial").exists());
        assert_eq!(store.read_calibration("a/c1").unwrap(), None);
        std::fs::write(store.calibration("a/c1"), "{").unwrap();
        assert!(matches!(store.read_calibration("a/c1"), Err(BaselineError::Unreadable { .. })));
        // What is no file can't be read.
        std::fs::create_dir_all(store.report("a/c1", "x")).unwrap();
        assert!(matches!(store.read_report("a/c1", "x"), Err(BaselineError::File(_))));
    }

    #[test]
    fn runs_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("t"));
        let mut told = 0;
        let first = store.lock(|| told += 1, || panic!("nobody has it")).unwrap();
        assert!(first.is_some());
        // Whoever waits is told once, and may give up.
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        assert!(store.lock(|| told += 1, stop).unwrap().is_none());
        assert_eq!((told, asked.get()), (1, 3));
        drop(first);
        assert!(store.lock(|| panic!("nobody has it"), || false).unwrap().is_some());
    }
}
