//! Where and at what a run was made.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The commit that a run was made at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Commit {
    /// Its full hash.
    pub sha: String,
    /// Whether tracked files differed from it.
    pub dirty: bool,
    /// The branch, where HEAD is on one.
    pub branch: Option<String>,
}

impl Commit {
    /// `0123abcd`, with a `+` for uncommitted changes.
    pub fn short(&self) -> String {
        format!("{}{}", self.sha.get(..8).unwrap_or(&self.sha), if self.dirty { "+" } else { "" })
    }
}

/// The machine that the client ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Host {
    /// E.g. `linux`.
    pub os: String,
    /// E.g. `x86_64`.
    pub arch: String,
    /// The processor's name, where the system tells it.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let cpu = self.cpu.as_deref().unwrap_or(&self.arch);
        write!(f, "{} with {} cores of {cpu}", self.os, self.cores)
    }
}
