//! Which earlier run a run is compared with.

use std::path::Path;

use super::{
    History, HistoryError, NEW, Store, StoreError,
    commit::{ancestors, resolve},
};
use crate::report::Report;

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The last run, where there is one.
    LastRun,
    /// A named baseline, which must exist.
    Named(String),
    /// A named baseline, where there is one.
    Lenient(String),
}

/// An earlier run to compare with.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// `last run`, the baseline's name, or `commit:HEAD~1 (0123abcd)`.
    pub name: String,
    /// What it measured.
    pub report: Report,
    /// What must be known of the choice.
    pub note: Option<String>,
}

/// A baseline that can't be used. Nothing has been measured or written then.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is none of that name.
    #[error("there is no baseline `{name}` of {benchmark}: make one with --save-baseline {name}")]
    Missing {
        /// The name.
        name: String,
        /// The benchmark.
        benchmark: String,
    },
    /// Its file is not what this version writes, or what it reads of older ones.
    #[error("cannot use the baseline {path}: {why}; move or delete it, and measure it anew")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No run of that commit, nor of any before it.
    #[error("commit:{revision}: {why}")]
    Commit {
        /// What was asked for.
        revision: String,
        /// What is wrong.
        why: String,
    },
    /// The system did not let it be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The history can't be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What a baseline's name begins with that is a commit of the history.
const COMMIT: &str = "commit:";

impl Compare {
    /// Finds the baseline of a benchmark. `folder` is where git is asked, `warn` is told of lines of the history that can't
    /// be read.
    ///
    /// # Errors
    /// Where it must exist and does not, or can't be read.
    pub fn find(
        &self,
        store: &Store,
        history: &History,
        folder: &Path,
        benchmark: &str,
        whose: &Whose,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Baseline>, BaselineError> {
        let (name, lenient) = match self {
            Self::LastRun => return last_run(store, history, benchmark, whose, warn),
            Self::Named(name) => (name, false),
            Self::Lenient(name) => (name, true),
        };
        let found = match name.strip_prefix(COMMIT) {
            Some(revision) => match of_commit(revision, history, folder, benchmark, warn) {
                Err(BaselineError::Commit { .. }) if lenient => None,
                found => Some(found?),
            },
            None => {
                let report = store.read_report(benchmark, name)?;
                report.map(|report| Baseline { name: name.clone(), report, note: None })
            }
        };
        match found {
            None if !lenient => Err(BaselineError::Missing { name: name.clone(), benchmark: benchmark.to_owned() }),
            found => Ok(found),
        }
    }
}

/// Whose runs are of the same kind: those of a package on a server.
#[derive(Clone, Debug)]
pub struct Whose {
    /// The package, where cargo told.
    pub package: Option<String>,
    /// [`ServerReport::identity`](crate::report::ServerReport::identity).
    pub server: String,
}

/// The last run of the same package on the same server: where another one has run since, it is found in the history.
fn last_run(
    store: &Store,
    history: &History,
    benchmark: &str,
    whose: &Whose,
    warn: &mut dyn FnMut(String),
) -> Result<Option<Baseline>, BaselineError> {
    let Some(last) = store.read_report(benchmark, NEW)? else { return Ok(None) };
    let is_ours = |report: &Report| report.is_of(whose.package.as_deref(), &whose.server);
    if is_ours(&last) {
        return Ok(Some(Baseline { name: "last run".to_owned(), report: last, note: None }));
    }
    let ours = |report: &Report| report.id == benchmark && report.host == last.host && is_ours(report);
    let of = last.package.as_deref().map_or_else(String::new, |package| format!(" for the package {package}"));
    let other = format!("the last run measured {}{of}", last.server.identity());
    match history.read(warn)?.into_iter().rfind(ours) {
        Some(report) => {
            let name = "last run on this server".to_owned();
            Ok(Some(Baseline { name, report, note: Some(other) }))
        }
        None => {
            warn(format!("{benchmark}: {other}, and none was made on {}: it is compared with nothing", whose.server));
            Ok(None)
        }
    }
}

/// The newest record of that commit, or of its nearest ancestor that has one. Of one commit's records those of a clean
/// working tree go first.
fn of_commit(
    revision: &str,
    history: &History,
    folder: &Path,
    benchmark: &str,
    warn: &mut dyn FnMut(String),
) -> Result<Baseline, BaselineError> {
    let error = |why: String| BaselineError::Commit { revision: revision.to_owned(), why };
    let records: Vec<Report> = history.read(warn)?.into_iter().filter(|report| report.id == benchmark).collect();
    if records.is_empty() {
        return Err(error(format!("the history {} has no run of {benchmark}", history.path().display())));
    }
    // A hash is found in the history even where git does not know it, or is not there.
    let is_hash = revision.len() >= 7 && revision.chars().all(|c| c.is_ascii_hexdigit());
    let shas = || records.iter().filter_map(|report| Some(report.commit.as_ref()?.sha.as_str()));
    let recorded = shas().find(|sha| is_hash && sha.starts_with(revision));
    let wanted = match recorded {
        Some(sha) => sha.to_owned(),
        None => resolve(folder, revision).map_err(error)?,
    };
    let of = |sha: &str| {
        let matching = |report: &&Report| report.commit.as_ref().is_some_and(|commit| commit.sha == sha);
        let dirty = |report: &&Report| report.commit.as_ref().is_some_and(|commit| commit.dirty);
        // The file is in order of time.
        let clean = records.iter().filter(matching).rfind(|report| !dirty(report));
        clean.or_else(|| records.iter().rfind(matching)).cloned()
    };
    let line = ancestors(folder, &wanted);
    let Some((sha, report)) = line.iter().find_map(|sha| Some((sha, of(sha)?))) else {
        let short = short(&wanted);
        return Err(error(format!(
            "the history {} has no run of {benchmark} at {short} or at any of its ancestors that git knows here",
            history.path().display()
        )));
    };
    let mut notes = Vec::new();
    if *sha != wanted {
        let (wanted, sha) = (short(&wanted), short(sha));
        notes.push(format!("{wanted} was not measured: {sha} is its nearest ancestor that was"));
    }
    if report.commit.as_ref().is_some_and(|commit| commit.dirty) {
        notes.push("the baseline was measured with uncommitted changes".to_owned());
    }
    let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
    Ok(Baseline { name: format!("{COMMIT}{revision} ({})", short(sha)), report, note })
}

fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}
