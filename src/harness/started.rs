//! The server that a run starts: made ready when it is first needed, and started anew where that was asked for.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::unistd::Pid;
use once_cell::unsync::OnceCell;
use tokio::runtime::Runtime;

use super::RunError;
use crate::{
    client::{Headers, Target},
    files::plain_name,
    load::{Stop, StopReason},
    report::warn,
    server::{Launch, Process, StartError, check_out, free_port, run_to_end, wait_until_ready},
};

/// Its processes, one after another.
pub struct Started {
    /// Where its output and its revisions go.
    folder: PathBuf,
    stop: Stop,
    /// What no message shows.
    hidden: Headers,
    process: RefCell<Option<Process>>,
    /// The same for each process, so that its address stays what it is.
    port: OnceCell<u16>,
    /// Checked out and built.
    launch: OnceCell<Launch>,
    /// The commit that was checked out for it.
    revision: OnceCell<String>,
    /// No warm-up request has gone to the process that runs.
    cold: Cell<bool>,
    /// How many there have been.
    processes: Cell<usize>,
    /// How long the last one took to get ready and warm.
    start_took: Cell<Duration>,
}

impl Started {
    /// Nothing runs yet.
    pub fn new(folder: &Path, stop: Stop, hidden: Headers) -> Self {
        Self {
            // Programs are started from other folders.
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
            stop,
            hidden,
            process: RefCell::default(),
            port: OnceCell::new(),
            launch: OnceCell::new(),
            revision: OnceCell::new(),
            cold: Cell::new(false),
            processes: Cell::new(0),
            start_took: Cell::default(),
        }
    }

    /// The port that it listens on, once it runs.
    pub fn port(&self) -> Result<u16, RunError> {
        let port = self.port.get_or_try_init(free_port);
        Ok(*port.map_err(|e| RunError::Setup(format!("no free port: {e}")))?)
    }

    /// Starts it, where it is not running, and waits until it is ready.
    pub fn ensure(
        &self,
        launch: &Launch,
        (target, headers): (&Target, &Headers),
        runtime: &Runtime,
        tell: &dyn Fn(&str),
    ) -> Result<(), RunError> {
        if let Some(process) = &mut *self.process.borrow_mut() {
            return process.ended().map_or(Ok(()), |ended| Err(self.told(ended)));
        }
        let launch = self.launch.get_or_try_init(|| self.made_ready(launch, tell))?;
        // Once is enough.
        let silent = |_: &str| ();
        let tell = if self.processes.get() == 0 { tell } else { &silent };
        // Its arguments may hold a key.
        tell(&format!("Starting the server {}: {} …", launch.name, launch.command.first().map_or("", String::as_str)));
        let told = Instant::now();
        let process = Process::start(launch, self.port()?, &self.log(&launch.name, ""));
        let mut process = process.map_err(|e| self.told(e))?;
        let ready = wait_until_ready(&mut process, launch, (target, headers), &self.stop, tell);
        runtime.block_on(ready).map_err(|e| self.told(e))?;
        *self.process.borrow_mut() = Some(process);
        self.cold.set(true);
        self.processes.set(self.processes.get() + 1);
        self.start_took.set(told.elapsed());
        Ok(())
    }

    /// Checks it out and builds it, where that was asked for.
    fn made_ready(&self, launch: &Launch, tell: &dyn Fn(&str)) -> Result<Launch, RunError> {
        let mut launch = launch.clone();
        if let Some(revision) = &launch.revision {
            let worktree = self.folder.join("revisions").join(plain_name(&launch.name));
            tell(&format!("Checking out {revision} into {}", worktree.display()));
            let (folder, commit) = check_out(&launch.name, revision, &launch.folder, &worktree)?;
            launch.folder = folder;
            self.revision.get_or_init(|| commit);
        }
        if !launch.build.is_empty() {
            tell(&format!("Building the server {}: {}", launch.name, launch.build.join(" ")));
            let log = self.log(&launch.name, ".build");
            let place = launch.place(self.port()?);
            let built = run_to_end("the build", &launch.build, &place, &log, &|| self.is_interrupted());
            built.map_err(|e| self.told(e))?;
        }
        Ok(launch)
    }

    /// Runs a hook's command, if there is one.
    pub fn run_hook(&self, what: &'static str, words: &[String], place: &crate::server::Place) -> Result<(), RunError> {
        if words.is_empty() {
            return Ok(());
        }
        let log = self.log(&place.name, &format!(".{what}"));
        run_to_end(what, words, place, &log, &|| self.is_interrupted()).map_err(|e| self.told(e))
    }

    /// As a message may show it.
    fn told(&self, error: StartError) -> RunError {
        error.redacted(&self.hidden).into()
    }

    fn is_interrupted(&self) -> bool {
        self.stop.reason() == Some(StopReason::Interrupted)
    }

    fn log(&self, name: &str, what: &str) -> PathBuf {
        self.folder.join("servers").join(format!("{}{what}.log", plain_name(name)))
    }

    /// Ends the process that runs; the next one is started when it is needed.
    pub fn end(&self) {
        if let Some(remark) = self.process.take().and_then(Process::stop) {
            warn(remark);
        }
    }

    /// Why the process ended on its own, if it did.
    pub fn died(&self) -> Option<RunError> {
        let ended = self.process.borrow_mut().as_mut()?.ended()?;
        Some(self.told(ended))
    }

    /// The group of its processes, where it runs.
    pub fn group(&self) -> Option<Pid> {
        self.process.borrow().as_ref().map(Process::group)
    }

    /// The commit that it was built from, where that is another than the one that is checked out.
    pub fn revision(&self) -> Option<String> {
        self.revision.get().cloned()
    }

    /// How many processes there have been.
    pub fn processes(&self) -> usize {
        self.processes.get()
    }

    /// Whether no warm-up request has gone to the process that runs.
    pub fn is_cold(&self) -> bool {
        self.cold.get()
    }

    /// It has had its warm-up requests, which took so long.
    pub fn warmed(&self, took: Duration) {
        if self.cold.replace(false) {
            self.start_took.set(self.start_took.get() + took);
        }
    }

    /// How long a start takes, with its warm-up.
    pub fn start_took(&self) -> Duration {
        self.start_took.get()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.end();
    }
}
