use std::{io, path::PathBuf, process::ExitStatus};

use crate::{client::Headers, text::visible};

/// What keeps a server from being started, or ends it before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program can't be run.
    #[error("cannot start the server {name}: {program}: {why}")]
    Spawn {
        /// The server.
        name: String,
        /// The first word of its command.
        program: String,
        /// What the system said.
        why: io::Error,
    },
    /// Its output can't be written.
    #[error("cannot write the output of the server {name} to {}: {why}", path.display())]
    Log {
        /// The server.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// It ended on its own.
    #[error("the server {name} ended on its own ({status}){}", said(.log, .lines))]
    Ended {
        /// The server.
        name: String,
        /// How.
        status: ExitStatus,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of it.
        lines: Vec<String>,
    },
    /// It was waited for in vain.
    #[error("the server {name} was not ready within {seconds} s (ready_timeout): {last}{}", said(.log, .lines))]
    NotReady {
        /// The server.
        name: String,
        /// How long it was waited for.
        seconds: f64,
        /// What it lacked.
        last: String,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of it.
        lines: Vec<String>,
    },
    /// Its build, or a hook, failed.
    #[error("{what} of the server {name} failed ({status}){}", said(.log, .lines))]
    Failed {
        /// `the build`, `before_pass`.
        what: &'static str,
        /// The server.
        name: String,
        /// How.
        status: ExitStatus,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of it.
        lines: Vec<String>,
    },
    /// git can't give the revision.
    #[error("cannot check out {revision} for the server {name}: {why}")]
    Revision {
        /// The server.
        name: String,
        /// What was asked for.
        revision: String,
        /// What git said.
        why: String,
    },
    /// The run was stopped while it was waited for.
    #[error("stopped while the server {name} was started")]
    Stopped {
        /// The server.
        name: String,
    },
}

impl StartError {
    /// Without the values of the headers that are sent, which servers like to print.
    #[must_use]
    pub fn redacted(mut self, headers: &Headers) -> Self {
        if let Self::Ended { lines, .. } | Self::NotReady { lines, .. } | Self::Failed { lines, .. } = &mut self {
            lines.iter_mut().for_each(|line| *line = headers.redact(std::mem::take(line)));
        }
        self
    }
}

/// The end of a message: the last lines of the output, and where the rest is.
fn said(log: &std::path::Path, lines: &[String]) -> String {
    let all = log.display();
    match lines {
        [] => format!("; it has printed nothing ({all})"),
        lines => format!(
            "; its output ({all}) ends with: {}",
            lines.iter().map(|l| visible(l)).collect::<Vec<_>>().join(" | ")
        ),
    }
}
