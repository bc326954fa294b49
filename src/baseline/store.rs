//! The target directory's `tachometer/` folder.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file of the store that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}")]
pub struct StoreError {
    /// `write`, `create`, …
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl StoreError {
    pub(crate) fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, path: path.to_owned(), source }
    }
}

/// Where a run's files go.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// Slot of the last run.
const NEW: &str = "new";
/// Slot of the run before.
const BASE: &str = "base";
const REPORT: &str = "report.json";

impl Store {
    /// `tachometer/` in the target directory that cargo uses, wherever that is.
    pub fn find() -> Self {
        Self { root: target_directory().join("tachometer") }
    }

    /// A store at any folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The usual place of the CSV.
    pub fn csv(&self) -> PathBuf {
        self.root.join("profile_api_server.csv")
    }

    /// The last run's report of a benchmark.
    pub fn report(&self, benchmark: &str) -> PathBuf {
        self.root.join(benchmark).join(NEW).join(REPORT)
    }

    /// Puts a benchmark's report into the slot `new`; what was there moves to `base`.
    ///
    /// # Errors
    /// Where the folder can't be written.
    pub fn save_report(&self, benchmark: &str, json: &str) -> Result<PathBuf, StoreError> {
        let path = self.report(benchmark);
        let base = self.root.join(benchmark).join(BASE).join(REPORT);
        if path.exists() {
            create_parent(&base)?;
            fs::rename(&path, &base).map_err(StoreError::new("write", &base))?;
        }
        write_whole(&path, json.as_bytes())?;
        Ok(path)
    }

    /// Takes the right to measure: two runs at once would disturb each other's numbers. `waiting` is called where another
    /// run has it. The right ends with the value.
    ///
    /// # Errors
    /// Where the folder can't be written.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Lock, StoreError> {
        let path = self.root.join(".lock");
        create_parent(&path)?;
        let file = File::create(&path).map_err(StoreError::new("create", &path))?;
        if file.try_lock().is_err() {
            waiting();
            file.lock().map_err(StoreError::new("lock", &path))?;
        }
        Ok(Lock { _file: file })
    }
}

/// The right to measure, see [`Store::lock`].
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Writes a file under another name and renames it.
///
/// # Errors
/// Where that fails; what was there before is still whole then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    create_parent(path)?;
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // It may not even exist.
        _ = fs::remove_file(&temporary);
        StoreError::new("write", path)(e)
    })
}

pub(crate) fn create_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::create_dir_all(parent).map_err(StoreError::new("create", parent)),
        None => Ok(()),
    }
}

/// cargo marks its target directory with CACHEDIR.TAG; the bench's executable lies somewhere below.
fn target_directory() -> PathBuf {
    if let Some(named) = std::env::var_os("CARGO_TARGET_DIR") {
        return named.into();
    }
    let executable = std::env::current_exe().unwrap_or_default();
    // With --target there is a marked folder for the triple inside the marked target directory.
    let marked = executable.ancestors().filter(|folder| folder.join("CACHEDIR.TAG").is_file()).last();
    match marked {
        Some(folder) => folder.to_owned(),
        None => std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join("target"),
    }
}
