use std::{path::Path, process::Command};

use serde::{Deserialize, Serialize};

/// The commit that a run was made at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its full hash.
    pub sha: String,
    /// Whether tracked files differed from it.
    pub dirty: bool,
    /// The branch, where HEAD is on one.
    pub branch: Option<String>,
}

impl Commit {
    /// Asks git about a folder: `None` without git, outside a repository, or before the first commit.
    pub fn of(folder: &Path) -> Option<Self> {
        let git = |args: &[&str]| {
            let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Some(Self {
            sha: git(&["rev-parse", "--verify", "--quiet", "HEAD"])?,
            dirty: !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty(),
            branch: git(&["symbolic-ref", "--short", "--quiet", "HEAD"]),
        })
    }
}
