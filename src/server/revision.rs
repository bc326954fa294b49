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
    let path = worktree.display().to_string();
    if worktree.join(".git").exists() {
        git(worktree, &["checkout", "--quiet", "--detach", "--force", &commit])?;
    } else {
        git(folder, &["worktree", "prune"])?;
        git(folder, &["worktree", "add", "--quiet", "--detach", "--force", &path, &commit])?;
    }
    Ok((worktree.join(inside), commit))
}
