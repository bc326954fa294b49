use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{run::Commit, text::visible};

/// The commit that a folder's working tree stands at, as git says: `None` without git, outside a repository, or before the first
/// commit. Files that the runs themselves write make no tree dirty, even where they are tracked.
pub fn current_commit(folder: &Path, written: &[PathBuf]) -> Option<Commit> {
    let sha = git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"])?;
    let root = PathBuf::from(git(folder, &["rev-parse", "--show-toplevel"])?);
    let within = |path: &PathBuf| {
        let whole = std::path::absolute(path).ok()?;
        let inside = whole.strip_prefix(&root).ok()?.to_str()?;
        Some(format!(":(top,exclude,literal){inside}"))
    };
    let excluded: Vec<String> = written.iter().filter_map(within).collect();
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--", ":(top)"];
    status.extend(excluded.iter().map(String::as_str));
    Some(Commit {
        sha,
        dirty: !git(folder, &status)?.is_empty(),
        branch: git(folder, &["symbolic-ref", "--short", "--quiet", "HEAD"]).map(|name| visible(&name).into_owned()),
    })
}

/// What git prints, or `None` where it fails or is not there.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The full hash of a revision.
///
/// A shallow clone has its oldest commit without the ones before, yet that commit names its parents: `HEAD~1` is found that
/// way too, though git itself says no.
///
/// # Errors
/// Where git is not there, or knows no such commit; the message says which.
pub(super) fn resolve(folder: &Path, revision: &str) -> Result<String, String> {
    if git(folder, &["--version"]).is_none() {
        return Err("git is not available to look up this commit: give its hash as in the history".to_owned());
    }
    if git(folder, &["rev-parse", "--git-dir"]).is_none() {
        return Err("this is not a git repository: give the commit's hash as in the history".to_owned());
    }
    raw(folder, revision).ok_or_else(|| {
        let shallow = git(folder, &["rev-parse", "--is-shallow-repository"]).as_deref() == Some("true");
        let hint = if shallow { "; this clone is shallow: `git fetch --deepen=10` fetches more commits" } else { "" };
        format!("git does not know this commit{hint}")
    })
}

fn raw(folder: &Path, revision: &str) -> Option<String> {
    let commit = format!("{revision}^{{commit}}");
    if let Some(sha) = git(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]) {
        return Some(sha);
    }
    let (before, steps) = match revision.strip_suffix('^') {
        Some(before) => (before, 1),
        None => {
            let (before, steps) = revision.rsplit_once('~')?;
            (before, if steps.is_empty() { 1 } else { steps.parse().ok()? })
        }
    };
    let mut sha = raw(folder, before)?;
    for _ in 0..steps {
        let commit = git(folder, &["cat-file", "commit", &sha])?;
        sha = commit.lines().find_map(|line| line.strip_prefix("parent "))?.to_owned();
    }
    Some(sha)
}

/// So many commits back a run is looked for.
const MOST_ANCESTORS: &str = "--max-count=10000";

/// A commit and its ancestors, the nearest first.
pub(super) fn ancestors(folder: &Path, sha: &str) -> Vec<String> {
    let listed = git(folder, &["rev-list", "--parents", MOST_ANCESTORS, sha]).unwrap_or_default();
    let parents: HashMap<&str, Vec<&str>> = listed
        .lines()
        .filter_map(|line| {
            let mut shas = line.split(' ');
            Some((shas.next()?, shas.collect()))
        })
        .collect();
    let mut seen = HashSet::from([sha]);
    let mut queue = VecDeque::from([sha]);
    let mut nearest_first = Vec::new();
    while let Some(sha) = queue.pop_front() {
        nearest_first.push(sha.to_owned());
        for parent in parents.get(sha).into_iter().flatten() {
            if seen.insert(parent) {
                queue.push_back(parent);
            }
        }
    }
    nearest_first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, args: &[&str]) -> String {
        let nobody = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"];
        let args = [&nobody[..], args].concat();
        git(folder, &args).unwrap_or_else(|| panic!("git {args:?} failed"))
    }

    #[test]
    fn the_commit_that_is_checked_out() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(current_commit(folder, &[]), None);
        run(folder, &["init", "--quiet", "--initial-branch=main"]);
        assert_eq!(current_commit(folder, &[]), None, "there is no commit yet");
        let (source, history) = (folder.join("source"), folder.join("history"));
        for (i, text) in ["one", "two"].into_iter().enumerate() {
            std::fs::write(&source, text).unwrap();
            std::fs::write(&history, text).unwrap();
            run(folder, &["add", "--all"]);
            run(folder, &["commit", "--quiet", "--message", &i.to_string()]);
        }
        let clean = current_commit(folder, &[]).unwrap();
        assert_eq!(
            (&clean.sha, clean.dirty, clean.branch.as_deref()),
            (&run(folder, &["rev-parse", "HEAD"]), false, Some("main"))
        );
        // What runs write makes nothing dirty; what else has changed does.
        std::fs::write(&history, "three").unwrap();
        let written = [history.clone(), folder.join("new"), PathBuf::from("/elsewhere")];
        assert!(current_commit(folder, &[]).unwrap().dirty);
        assert!(!current_commit(folder, &written).unwrap().dirty);
        std::fs::write(folder.join("new"), "untracked").unwrap();
        assert!(!current_commit(folder, &written).unwrap().dirty);
        std::fs::write(&source, "three").unwrap();
        assert!(current_commit(folder, &written).unwrap().dirty);
        run(folder, &["checkout", "--quiet", "--force", "--detach"]);
        assert_eq!(current_commit(folder, &[]).unwrap().branch, None);
        // Revisions, and the commits before.
        let first = run(folder, &["rev-parse", "HEAD~1"]);
        assert_eq!(resolve(folder, "HEAD~1"), Ok(first.clone()));
        assert_eq!(resolve(folder, "HEAD^"), Ok(first.clone()));
        assert_eq!(ancestors(folder, &clean.sha), [clean.sha.clone(), first.clone()]);
        assert_eq!(ancestors(folder, "0123"), ["0123"]);
        assert_eq!(resolve(folder, "HEAD~2"), Err("git does not know this commit".to_owned()));
        // A clone of the newest commit alone names the one before, and says what would bring more.
        let shallow = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.display());
        run(shallow.path(), &["clone", "--quiet", "--depth=1", &url, "clone"]);
        let clone = shallow.path().join("clone");
        for revision in ["HEAD~1", "HEAD~", "HEAD^"] {
            assert_eq!(resolve(&clone, revision).as_ref(), Ok(&first), "{revision}");
        }
        let hint = "git does not know this commit; this clone is shallow: `git fetch --deepen=10` fetches more commits";
        assert_eq!(resolve(&clone, "HEAD~2"), Err(hint.to_owned()));
        let nowhere = resolve(shallow.path(), "HEAD").unwrap_err();
        assert_eq!(nowhere, "this is not a git repository: give the commit's hash as in the history");
    }

    /// A merge's parents both come before theirs.
    #[test]
    fn ancestors_are_the_nearest_first() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        run(folder, &["init", "--quiet", "--initial-branch=main"]);
        let commit = |name: &str| {
            run(folder, &["commit", "--quiet", "--allow-empty", "--message", name]);
            run(folder, &["rev-parse", "HEAD"])
        };
        let root = commit("root");
        let left = commit("left");
        run(folder, &["checkout", "--quiet", "-b", "side", &root]);
        let right = commit("right");
        run(folder, &["checkout", "--quiet", "main"]);
        run(folder, &["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
        let merge = run(folder, &["rev-parse", "HEAD"]);
        assert_eq!(ancestors(folder, &merge), [merge.clone(), left, right, root]);
    }
}
