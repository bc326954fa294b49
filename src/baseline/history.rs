//! One line a run of a benchmark, across commits.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{StoreError, create_parent};
use crate::{compare::Comparison, report::Report};

/// The history file: a JSON line for each run of each benchmark, in order of time, which is what report.json holds without the
/// comparison; and, when all benchmarks of a run are done, a line with the verdicts of each.
#[derive(Clone, Debug)]
pub struct History {
    path: PathBuf,
}

/// A line that belongs to one before it.
#[derive(Serialize, Deserialize)]
struct Verdicts {
    /// Name of the benchmark.
    verdicts_of: String,
    /// When that run of it started.
    started_at: String,
    comparison: Comparison,
}

/// A history that can't be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the history {path}: {source}")]
pub struct HistoryError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl History {
    /// At a path; the file need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a run, without its comparison. Runs that append at once wait for one another; a line that one of them left torn stays by itself.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn append(&self, report: &Report) -> Result<(), StoreError> {
        self.append_line(&Report { comparison: None, ..report.clone() })
    }

    /// Appends what a run was compared with, and the verdicts that all its benchmarks together led to; nothing where it was
    /// compared with nothing.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn append_verdicts(&self, report: &Report) -> Result<(), StoreError> {
        let Some(comparison) = &report.comparison else { return Ok(()) };
        let (verdicts_of, started_at) = (report.id.clone(), report.started_at.clone());
        self.append_line(&Verdicts { verdicts_of, started_at, comparison: comparison.clone() })
    }

    fn append_line(&self, line_of: &impl Serialize) -> Result<(), StoreError> {
        create_parent(&self.path)?;
        let append = || -> io::Result<()> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
            file.lock()?;
            let mut line = Vec::new();
            if !ends_in_newline(&mut file)? {
                line.push(b'\n');
            }
            serde_json::to_writer(&mut line, line_of)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()
        };
        append().map_err(StoreError::new("append to", &self.path))
    }

    /// All runs, in order of time, with the comparisons that were made of them. A line that can't be read is skipped, and `warn` is told which.
    ///
    /// # Errors
    /// Where there is a file that can't be read; without one there are no runs.
    pub fn read(&self, warn: &mut dyn FnMut(String)) -> Result<Vec<Report>, HistoryError> {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.path)?;
            // A run that appends just now would look torn.
            file.lock_shared()?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = match read() {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(HistoryError { path: self.path.clone(), source }),
        };
        let mut reports: Vec<Report> = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            if let Ok(verdicts) = serde_json::from_str::<Verdicts>(line) {
                let is_meant =
                    |run: &&mut Report| run.id == verdicts.verdicts_of && run.started_at == verdicts.started_at;
                if let Some(run) = reports.iter_mut().rfind(is_meant) {
                    run.comparison = Some(verdicts.comparison);
                }
                continue;
            }
            match Report::from_json(line) {
                Ok(report) => reports.push(report),
                Err(why) => warn(format!("{} line {} is skipped: {why}", self.path.display(), i + 1)),
            }
        }
        Ok(reports)
    }
}

fn ends_in_newline(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
