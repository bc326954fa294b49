//! One line a run of a benchmark, across commits.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{escaped::from_json, report_from_json};
use crate::{
    files::{FileError, append},
    run::{Comparison, Report},
};

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

    /// Appends a run, without its comparison. Runs that append at once wait for one another; a line that one of them left torn
    /// stays by itself.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn append(&self, report: &Report) -> Result<(), FileError> {
        let mut report = Report { comparison: None, ..report.clone() };
        report.passes.iter_mut().for_each(|pass| pass.histograms = None);
        self.append_line(&report)
    }

    /// Appends what a run was compared with, and the verdicts that all its benchmarks together led to; nothing where it was
    /// compared with nothing.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn append_verdicts(&self, report: &Report) -> Result<(), FileError> {
        let Some(comparison) = &report.comparison else { return Ok(()) };
        let (verdicts_of, started_at) = (report.id.clone(), report.started_at.clone());
        self.append_line(&Verdicts { verdicts_of, started_at, comparison: comparison.clone() })
    }

    fn append_line(&self, line_of: &impl Serialize) -> Result<(), FileError> {
        append(&self.path, |file, is_empty| {
            let mut line = Vec::new();
            if !is_empty && !ends_in_newline(file)? {
                line.push(b'\n');
            }
            serde_json::to_writer(&mut line, line_of)?;
            line.push(b'\n');
            Ok(line)
        })
    }

    /// All runs, in order of time, with the comparisons that were made of them. A line that can't be read is skipped, and `warn`
    /// is told which.
    ///
    /// # Errors
    /// Where there is a file that can't be read; without one there are no runs.
    pub fn read(&self, warn: &mut dyn FnMut(String)) -> Result<Vec<Report>, HistoryError> {
        let read = || -> io::Result<String> {
            // A device or a pipe may be written to, and has no end to be read to.
            let kind = std::fs::metadata(&self.path)?;
            if !kind.is_file() && !kind.is_dir() {
                return Ok(String::new());
            }
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
            // A look at the text spares reading each run twice.
            if line.contains("\"verdicts_of\"")
                && let Ok(verdicts) = from_json::<Verdicts>(line)
            {
                let is_meant =
                    |run: &&mut Report| run.id == verdicts.verdicts_of && run.started_at == verdicts.started_at;
                if let Some(run) = reports.iter_mut().rfind(is_meant) {
                    run.comparison = Some(verdicts.comparison);
                }
                continue;
            }
            match report_from_json(line) {
                Ok(report) => reports.push(report),
                Err(why) => warn(format!("{} line {} is skipped: {why}", self.path.display(), i + 1)),
            }
        }
        // A file that was merged has the lines of one side after those of the other.
        reports.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        Ok(reports)
    }
}

fn ends_in_newline(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::samples::{comparison, report, scale};

    fn compared(run: &Report) -> Report {
        let mut found = comparison(&["ttft_p50"]);
        found["metrics"]["rpm"] = serde_json::json!({
            "change": -0.1, "lower": -0.12, "upper": -0.08, "p_value": 0.001, "p_value_corrected": 0.002,
            "p_value_no_change": 0.9, "verdict": "regressed", "gated": true, "threshold": 0.01, "noise_floor": null,
            "detectable_change": null, "passes_needed": null
        });
        Report { comparison: Some(serde_json::from_value(found).unwrap()), ..run.clone() }
    }

    #[test]
    fn runs_and_their_verdicts_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path().join("deep/history.jsonl"));
        let mut warned = Vec::new();
        assert_eq!(history.read(&mut |line| warned.push(line)).unwrap(), []);
        let first = report(|_| ());
        let second = report(|r| {
            r["started_at"] = "2026-01-02T00:00:00Z".into();
            scale(r, &["rpm"], [0.9; 3]);
        });
        // Another benchmark, of the time of the second.
        let elsewhere = report(|r| {
            r["id"] = "a/c2".into();
            r["started_at"] = "2026-01-02T00:00:00Z".into();
        });
        history.append_verdicts(&first).unwrap();
        assert!(!history.path().exists(), "there is nothing to say of a run that was compared with nothing");
        for run in [&first, &compared(&second), &elsewhere] {
            history.append(run).unwrap();
        }
        let lines = || std::fs::read_to_string(history.path()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(lines().len() == 3 && lines().iter().all(|line| line.contains("\"comparison\":null")));
        let runs = || history.read(&mut |line| panic!("{line}")).unwrap();
        assert_eq!(runs(), [first.clone(), second.clone(), elsewhere.clone()]);
        history.append_verdicts(&compared(&second)).unwrap();
        assert_eq!(runs(), [first.clone(), compared(&second), elsewhere.clone()]);
        // Of a run that is not there.
        let lost = report(|r| r["started_at"] = "2026-01-03T00:00:00Z".into());
        history.append_verdicts(&compared(&lost)).unwrap();
        assert_eq!(lines().len(), 5);
        assert_eq!(runs(), [first.clone(), compared(&second), elsewhere.clone()]);
        // What verdicts say is shown, wherever they come from.
        let text = std::fs::read_to_string(history.path()).unwrap();
        std::fs::write(history.path(), text.replace("\"baseline\":\"b\"", "\"baseline\":\"\\u001b[31m\"")).unwrap();
        assert_eq!(runs()[1].comparison.as_ref().unwrap().baseline, r"\u{1b}[31m");
    }

    #[test]
    fn a_torn_line_stays_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path().join("history.jsonl"));
        let run = report(|_| ());
        history.append(&run).unwrap();
        let whole = std::fs::read_to_string(history.path()).unwrap();
        assert!(whole.ends_with("}\n") && whole.lines().count() == 1);
        std::fs::write(history.path(), format!("{whole}\n{{\"id\": \"torn")).unwrap();
        history.append(&run).unwrap();
        let mut warned = Vec::new();
        assert_eq!(history.read(&mut |line| warned.push(line)).unwrap().len(), 2);
        assert_eq!(warned.len(), 1);
        assert!(warned[0].contains("history.jsonl line 3 is skipped: it is no report"), "{warned:?}");
        let text = std::fs::read_to_string(history.path()).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), [whole.trim(), "", "{\"id\": \"torn", whole.trim()]);
    }

    /// Who appends waits for whoever holds the lock, and so does who reads.
    #[test]
    fn appending_and_reading_wait_for_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path().join("history.jsonl"));
        let run = report(|_| ());
        history.append(&run).unwrap();
        for reads in [false, true] {
            let held = File::open(history.path()).unwrap();
            held.lock().unwrap();
            let (sender, ended) = std::sync::mpsc::channel();
            let (waiting, run) = (history.clone(), run.clone());
            std::thread::spawn(move || {
                match reads {
                    true => _ = waiting.read(&mut |_| ()),
                    false => _ = waiting.append(&run),
                }
                _ = sender.send(());
            });
            let before = std::fs::metadata(history.path()).unwrap().len();
            // On a busy machine the thread may not have come so far; it never comes further.
            assert!(ended.recv_timeout(std::time::Duration::from_millis(300)).is_err(), "reads: {reads}");
            assert_eq!(std::fs::metadata(history.path()).unwrap().len(), before);
            held.unlock().unwrap();
            ended.recv().unwrap();
        }
        assert_eq!(history.read(&mut |_| ()).unwrap().len(), 2);
    }

    /// Zeros without end.
    #[cfg(unix)]
    #[test]
    fn a_device_holds_no_runs() {
        assert_eq!(History::at("/dev/zero").read(&mut |line| panic!("{line}")).unwrap(), []);
    }

    #[test]
    fn a_history_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = History::at(folder.path()).read(&mut |_| ()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot read the history {}", folder.path().display())));
        assert!(History::at(folder.path()).append(&report(|_| ())).is_err());
    }
}
