//! A process group that does not outlive this process, however this one ends.
//!
//! A small shell waits beside it, in a group of its own, at the other end of a pipe. When the pipe closes without a word, as it does
//! when this process is killed, the shell kills the group. What leaves the group on its own accord (a daemon that calls `setsid`) is
//! not found.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// The first line names the group; the second says that it is gone.
const WATCH: &str = "trap '' INT TERM HUP; read group || exit 0; read gone || kill -s KILL -- \"-$group\"";

/// A child that leads a group, and what watches over it.
pub struct Group {
    leader: Child,
    id: Pid,
    watcher: Child,
    gone: bool,
}

impl Group {
    /// Starts the command as the leader of a new group.
    ///
    /// # Errors
    /// Where either process can't be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut watcher = Command::new("sh")
            .args(["-c", WATCH])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let leader = command.process_group(0).spawn();
        let leader = leader.inspect_err(|_| {
            watcher.stdin = None;
            _ = watcher.wait();
        })?;
        let id = i32::try_from(leader.id()).map(Pid::from_raw).map_err(io::Error::other)?;
        let mut group = Self { leader, id, watcher, gone: false };
        // Dropped, it takes the leader with it.
        group.tell(&format!("{id}\n"))?;
        Ok(group)
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        let pipe = self.watcher.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.write_all(line.as_bytes())
    }

    /// Its number.
    pub fn id(&self) -> Pid {
        self.id
    }

    /// How the leader ended, once it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        let status = self.leader.try_wait().ok().flatten()?;
        self.clear();
        Some(status)
    }

    /// Sends a signal to all of it.
    pub fn signal(&self, signal: Signal) {
        if !self.gone {
            // It may be gone by now.
            _ = killpg(self.id, signal);
        }
    }

    /// Kills what the leader has left behind: its number may be another group's later.
    fn clear(&mut self) {
        self.signal(Signal::SIGKILL);
        if !std::mem::replace(&mut self.gone, true) {
            _ = self.tell("gone\n");
            self.watcher.stdin = None;
            _ = self.watcher.wait();
        }
    }

    /// Ends all of it, at once.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        _ = self.leader.wait();
        self.clear();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.gone {
            self.kill();
        }
    }
}
