use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::StartError;

/// Checks a revision out into a worktree of its own, which is kept, so that the next build there is a short one. Gives the folder in
/// it that `folder` is in the repository, and the commit's hash.
///
/// # Errors
/// Where git has no such revision, or can't write there.
pub fn check_out(name: &str, revision: &str, folder: &Path, worktree: &Path) -> Result<(PathBuf, String), StartError> {
    let error = |why: String| StartError::Revision { name: name.to_owned(), revision: revision.to_owned(), why };
    let git = |at: &Path, words: &[&str]| -> Result<String, StartError> {
        // Where cargo is called from a hook of git's, git would take the repository of the hook.
        let variables = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"];
        let mut command = Command::new("git");
        variables.iter().for_each(|variable| _ = command.env_remove(variable));
        let output = command.arg("-C").arg(at).args(words).output().map_err(|e| error(format!("git: {e}")))?;
        if !output.status.success() {
            return Err(error(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit =
        git(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])
            .map_err(|_| error("there is no such revision in this repository (a shallow clone has few)".to_owned()))?;
    let inside = git(folder, &["rev-parse", "--show-prefix"])?;
    // One that came from elsewhere, as out of a cache, belongs to no repository; and git must not take the one around it.
    let top = |git_says: String| Path::new(&git_says).canonicalize().ok();
    let is_whole = worktree.join(".git").exists()
        && git(worktree, &["rev-parse", "--show-toplevel"]).ok().and_then(top) == worktree.canonicalize().ok();
    if is_whole {
        git(worktree, &["checkout", "--quiet", "--detach", "--force", &commit])?;
        return Ok((worktree.join(inside), commit));
    }
    let name_of_old = worktree.file_name().map_or_else(String::new, |name| format!("{}.old", name.display()));
    let old = worktree.with_file_name(name_of_old);
    let io = |e: std::io::Error| error(format!("{}: {e}", worktree.display()));
    _ = std::fs::remove_dir_all(&old);
    if worktree.exists() {
        std::fs::rename(worktree, &old).map_err(io)?;
    }
    git(folder, &["worktree", "prune"])?;
    let path = worktree.display().to_string();
    git(folder, &["worktree", "add", "--quiet", "--detach", "--force", &path, &commit])?;
    // What was built there need not be built again.
    let built = old.join(&inside).join("target");
    if built.exists() {
        std::fs::rename(built, worktree.join(&inside).join("target")).map_err(io)?;
    }
    _ = std::fs::remove_dir_all(&old);
    Ok((worktree.join(inside), commit))
}
