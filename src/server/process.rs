use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};

use super::{
    StartError,
    group::Group,
    launch::{Launch, Place},
};

/// A server that this process has started. Dropped, it is stopped.
pub struct Process {
    name: String,
    group: Group,
    log: PathBuf,
    stop_timeout: Duration,
}

/// Lines of its output that a message shows.
const LAST_LINES: usize = 10;
/// No more of the output's end is looked at.
const LAST_BYTES: u64 = 4096;
const POLL: Duration = Duration::from_millis(10);

impl Process {
    /// Starts it on a port, with its output going to a file, which therefore never fills up as a pipe does.
    ///
    /// # Errors
    /// Where the program can't be run, or the file can't be written.
    pub fn start(launch: &Launch, port: u16, log: &Path) -> Result<Self, StartError> {
        let group = start(&launch.place(port), &launch.command, log)?;
        Ok(Self { name: launch.name.clone(), group, log: log.to_owned(), stop_timeout: launch.stop_timeout })
    }

    /// The group of its processes.
    pub fn group(&self) -> Pid {
        self.group.id()
    }

    /// Why it is not running any more, if it is not.
    pub fn ended(&mut self) -> Option<StartError> {
        let status = self.group.ended()?;
        Some(StartError::Ended { name: self.name.clone(), status, log: self.log.clone(), lines: last_lines(&self.log) })
    }

    /// Whether it has printed a line that holds this.
    pub fn has_said(&self, part: &str) -> bool {
        std::fs::read(&self.log).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).lines().any(|l| l.contains(part)))
    }

    /// Where its output is, and the last lines of it.
    pub(super) fn output(&self) -> (PathBuf, Vec<String>) {
        (self.log.clone(), last_lines(&self.log))
    }

    /// Tells it to end, and kills it where it does not within its time; says so then.
    pub fn stop(mut self) -> Option<String> {
        self.end()
    }

    fn end(&mut self) -> Option<String> {
        if self.group.ended().is_some() {
            return None;
        }
        self.group.signal(Signal::SIGTERM);
        let told = Instant::now();
        while told.elapsed() < self.stop_timeout {
            if self.group.ended().is_some() {
                return None;
            }
            std::thread::sleep(POLL);
        }
        self.group.kill();
        let seconds = self.stop_timeout.as_secs_f64();
        Some(format!(
            "the server {} did not end within {seconds} s of SIGTERM (stop_timeout), and was killed",
            self.name
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a command to its end, as a build or a hook is.
///
/// # Errors
/// Where it can't be run or fails, with the last lines of its output.
pub fn run_to_end(
    what: &'static str,
    words: &[String],
    place: &Place,
    log: &Path,
    stopped: &dyn Fn() -> bool,
) -> Result<(), StartError> {
    let mut group = start(place, words, log)?;
    let status = loop {
        if let Some(status) = group.ended() {
            break status;
        }
        if stopped() {
            return Err(StartError::Stopped { name: place.name.clone() });
        }
        std::thread::sleep(POLL);
    };
    if status.success() {
        return Ok(());
    }
    Err(StartError::Failed { what, name: place.name.clone(), status, log: log.to_owned(), lines: last_lines(log) })
}

/// A free port of loopback.
///
/// # Errors
/// Where the system has none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start(place: &Place, words: &[String], log: &Path) -> Result<Group, StartError> {
    let Place { name, folder, port, url, environment, builds_apart } = place;
    let (port, dir) = (port.to_string(), folder.display().to_string());
    let filled = |text: &String| text.replace("{port}", &port).replace("{url}", url).replace("{dir}", &dir);
    let program = words.first().map(filled).unwrap_or_default();
    let output = open_log(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = output.map_err(|why| StartError::Log { name: name.clone(), path: log.to_owned(), why })?;
    // A path is meant from the folder that it runs in; a name is looked for where the system looks.
    let at = if program.contains('/') { folder.join(&program) } else { program.clone().into() };
    let mut command = Command::new(at);
    command.args(words.iter().skip(1).map(filled)).current_dir(folder);
    if *builds_apart {
        // It has a target directory of its own.
        command.env_remove("CARGO_TARGET_DIR");
    }
    command.envs(environment.iter().map(|(name, value)| (name, filled(value))));
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    Group::start(&mut command).map_err(|why| StartError::Spawn { name: name.clone(), program, why })
}

fn open_log(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    // Begun anew, and then only added to: two processes may write to it.
    File::create(path)?;
    File::options().append(true).open(path)
}

fn last_lines(path: &Path) -> Vec<String> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LAST_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}
