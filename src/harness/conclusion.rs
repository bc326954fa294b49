use std::process::ExitCode;

use super::RunError;
use crate::run::Report;

/// Wrong usage: a flag, a key or a value.
pub(super) const EXIT_USAGE: u8 = 2;
/// What `--fail-on` names has happened.
const EXIT_GATE: u8 = 3;
/// An objective is missed, or could not be judged, and `--fail-on` names that alone.
const EXIT_OBJECTIVE: u8 = 4;
/// Anything else that failed, as with libtest.
const EXIT_FAILED: u8 = 101;
/// Ctrl-C or SIGTERM, as shells say it.
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// What a run came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Conclusion {
    /// Of the benchmarks that were measured whole, with their verdicts, in the order in which they ran.
    pub reports: Vec<Report>,
    /// What the run failed with, if it did; where several benchmarks failed, each has had its own message on stderr.
    pub error: Option<RunError>,
}

impl Conclusion {
    /// 0; 2 for wrong usage; 3 for what `--fail-on` names, or 4 where that is objectives alone; 130 for Ctrl-C or SIGTERM; 101 for anything else that failed.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match &self.error {
            None => 0,
            Some(RunError::Config(_)) => EXIT_USAGE,
            Some(RunError::Gate(gate)) if gate.is_of_objectives() => EXIT_OBJECTIVE,
            Some(RunError::Gate(_)) => EXIT_GATE,
            Some(RunError::Interrupted) => EXIT_INTERRUPTED,
            Some(_) => EXIT_FAILED,
        })
    }
}

impl From<Result<Vec<Report>, RunError>> for Conclusion {
    fn from(result: Result<Vec<Report>, RunError>) -> Self {
        match result {
            Ok(reports) => Self { reports, error: None },
            Err(error) => Self { reports: Vec::new(), error: Some(error) },
        }
    }
}
