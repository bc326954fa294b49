//! Which earlier run a run is compared with.

use std::path::Path;

use super::{
    BaselineError, History, NEW, Store,
    commit::{ancestors, resolve},
};
use crate::run::{Baseline, Design, Report};

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
                report.map(|report| Baseline { name: name.clone(), report, note: None, design: Design::Apart })
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
    /// [`ServerReport::identity`](crate::run::ServerReport::identity).
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
        return Ok(Some(Baseline { name: "last run".to_owned(), report: last, note: None, design: Design::Apart }));
    }
    let ours = |report: &Report| report.id == benchmark && report.host == last.host && is_ours(report);
    let of = last.package.as_deref().map_or_else(String::new, |package| format!(" for the package {package}"));
    let other = format!("the last run measured {}{of}", last.server.identity());
    match history.read(warn)?.into_iter().rfind(ours) {
        Some(report) => {
            let name = "last run on this server".to_owned();
            Ok(Some(Baseline { name, report, note: Some(other), design: Design::Apart }))
        }
        None => {
            warn(format!(
                "{benchmark}: {other}, and there is no run on {}: there is nothing to compare with",
                whose.server
            ));
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
    Ok(Baseline { name: format!("{COMMIT}{revision} ({})", short(sha)), report, note, design: Design::Apart })
}

fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{baseline::to_json, files::write_whole, run::samples::report};

    struct Place {
        folder: tempfile::TempDir,
        store: Store,
        history: History,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::at(folder.path().join("target"));
            let history = History::at(folder.path().join("history.jsonl"));
            Self { folder, store, history }
        }

        fn keep(&self, slot: &str, report: &Report) {
            let path = self.store.report(&report.id, slot);
            write_whole(&path, to_json(report).unwrap().as_bytes()).unwrap();
        }

        /// What is found, and what is warned of.
        fn find(&self, compare: &Compare, server: &str) -> (Result<Option<Baseline>, String>, Vec<String>) {
            let whose = Whose { package: Some("p".to_owned()), server: server.to_owned() };
            let mut warned = Vec::new();
            let mut warn = |line| warned.push(line);
            let found = compare.find(&self.store, &self.history, self.folder.path(), "a/c1", &whose, &mut warn);
            (found.map_err(|e| e.to_string()), warned)
        }

        fn name(&self, compare: &Compare) -> Option<String> {
            self.find(compare, HERE).0.unwrap().map(|found| found.name)
        }

        fn git(&self, args: &[&str]) -> String {
            let nobody = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"];
            let output =
                Command::new("git").arg("-C").arg(self.folder.path()).args(nobody).args(args).output().unwrap();
            assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
    }

    const HERE: &str = "http://h:1";

    fn at(started_at: &'static str, server: &'static str) -> Report {
        report(|r| {
            r["started_at"] = started_at.into();
            r["server"]["url"] = server.into();
        })
    }

    #[test]
    fn the_last_run_is_that_of_the_same_package_and_server() {
        let place = Place::new();
        assert_eq!(place.find(&Compare::LastRun, HERE), (Ok(None), vec![]));
        place.history.append(&at("1", HERE)).unwrap();
        place.keep(NEW, &at("1", HERE));
        let (found, warned) = place.find(&Compare::LastRun, HERE);
        let found = found.unwrap().unwrap();
        assert_eq!((&*found.name, &*found.report.started_at, found.note, warned), ("last run", "1", None, vec![]));
        // Another server's run comes between, and this one's are in the history.
        for run in [at("2", HERE), at("3", "http://h:2")] {
            place.history.append(&run).unwrap();
        }
        for other in [
            report(|r| r["id"] = "a/c2".into()),
            report(|r| r["host"]["cores"] = 9.into()),
            report(|r| r["package"] = "q".into()),
        ] {
            place.history.append(&other).unwrap();
        }
        place.keep(NEW, &at("3", "http://h:2"));
        let found = place.find(&Compare::LastRun, HERE).0.unwrap().unwrap();
        assert_eq!((&*found.name, &*found.report.started_at), ("last run on this server", "2"));
        assert_eq!(found.note.as_deref(), Some("the last run measured http://h:2 for the package p"));
        let (found, warned) = place.find(&Compare::LastRun, "http://h:3");
        let expected = "a/c1: the last run measured http://h:2 for the package p, and there is no run on http://h:3: there \
                        is nothing to compare with";
        assert_eq!((found, warned), (Ok(None), vec![expected.to_owned()]));
    }

    #[test]
    fn named_baselines() {
        let place = Place::new();
        let (named, lenient) = (Compare::Named("main".to_owned()), Compare::Lenient("main".to_owned()));
        let missing = "there is no baseline `main` of a/c1: make one with --save-baseline main";
        assert_eq!(place.find(&named, HERE).0, Err(missing.to_owned()));
        assert_eq!(place.find(&lenient, HERE).0, Ok(None));
        place.keep("main", &at("1", "http://elsewhere"));
        for compare in [named, lenient] {
            let found = place.find(&compare, HERE).0.unwrap().unwrap();
            assert_eq!((&*found.name, found.note), ("main", None));
        }
        // One that can't be read is an error, whoever asks.
        let path = place.store.report("a/c1", "main");
        std::fs::write(&path, "{").unwrap();
        let message = place.find(&Compare::Lenient("main".to_owned()), HERE).0.unwrap_err();
        assert!(
            message.starts_with(&format!("cannot use the baseline {}: it is no report", path.display())),
            "{message}"
        );
    }

    #[test]
    fn where_there_is_no_git_the_history_knows_hashes_of_seven_digits() {
        let place = Place::new();
        place.history.append(&at("1", HERE)).unwrap();
        let of = |revision: &str| place.find(&Compare::Named(format!("commit:{revision}")), HERE).0;
        assert_eq!(of("0123456").unwrap().unwrap().report.started_at, "1");
        for revision in ["012345", "main", "mainline"] {
            assert!(of(revision).unwrap_err().contains("this is not a git repository"), "{revision}");
        }
    }

    #[test]
    fn commits_of_the_history() {
        let place = Place::new();
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        let commit = |name: &str| {
            place.git(&["commit", "--quiet", "--allow-empty", "--message", name]);
            place.git(&["rev-parse", "HEAD"])
        };
        let shas: Vec<String> = ["one", "two", "three"].map(commit).to_vec();
        let run = |sha: &str, started_at: &'static str, dirty: bool| {
            let (sha, dirty) = (sha.to_owned(), dirty);
            report(move |r| {
                r["commit"] = serde_json::json!({"sha": sha, "dirty": dirty, "branch": null});
                r["started_at"] = started_at.into();
            })
        };
        let of = |revision: &str| Compare::Named(format!("commit:{revision}"));
        let error = |revision: &str| place.find(&of(revision), HERE).0.unwrap_err();
        assert!(error("HEAD").contains("history.jsonl has no run of a/c1"), "{}", error("HEAD"));
        place.history.append(&report(|r| r["id"] = "a/c2".into())).unwrap();
        assert!(error("HEAD").contains("has no run of a/c1"));
        // Two clean runs of the first commit, and a dirty one after them.
        for (sha, started_at, dirty) in [(0, "1", false), (0, "2", false), (0, "3", true)] {
            place.history.append(&run(&shas[sha], started_at, dirty)).unwrap();
        }
        let first = &shas[0][..8];
        let found = |revision: &str| place.find(&of(revision), HERE).0.unwrap().unwrap();
        let exact = found("HEAD~2");
        assert_eq!((exact.name, &*exact.report.started_at), (format!("commit:HEAD~2 ({first})"), "2"));
        assert_eq!(exact.note, None);
        let near = found("HEAD");
        let note = format!("{} was not measured: {first} is its nearest ancestor that was", &shas[2][..8]);
        assert_eq!((&*near.report.started_at, near.note), ("2", Some(note)));
        // A hash, as short as seven digits, and none that is shorter.
        assert_eq!(found(&shas[0][..7]).report.started_at, "2");
        assert_eq!(place.name(&of(&shas[0])).as_deref(), Some(&*format!("commit:{} ({first})", shas[0])));
        place.history.append(&run(&shas[1], "4", true)).unwrap();
        let dirty = found("HEAD~1");
        assert_eq!(dirty.note.as_deref(), Some("the baseline was measured with uncommitted changes"));
        assert_eq!(dirty.report.started_at, "4");
        let both = found("HEAD").note.unwrap();
        assert!(
            both.contains("nearest ancestor that was; the baseline was measured with uncommitted changes"),
            "{both}"
        );
        // Nobody knows it, and git is asked.
        assert_eq!(error("nowhere"), "commit:nowhere: git does not know this commit");
        assert_eq!(place.find(&Compare::Lenient("commit:nowhere".to_owned()), HERE).0, Ok(None));
        // A hash that only the history knows.
        place.history.append(&run("feedfacefeedface", "5", false)).unwrap();
        assert_eq!(found("feedface").report.started_at, "5");
    }
}
