//! A link through a folder that both sides can write: a file for each message, numbered, which its reader removes.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use super::link::{Link, Received};

/// How often a reader looks, after a message and where there was none for a while: a pass under way is not to be disturbed.
const POLLS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];
/// How long that is.
const A_WHILE: Duration = Duration::from_millis(200);
/// What the shard says, and what is said to it.
const SIDES: [&str; 2] = ["from-shard", "to-shard"];

/// A folder of two shards.
pub(super) struct FolderLink {
    root: PathBuf,
    inbox: PathBuf,
    outbox: PathBuf,
    read: AtomicU64,
    last: Mutex<Instant>,
    written: Mutex<u64>,
    limit: AtomicU32,
}

impl FolderLink {
    /// The end of the shard that asks to be let in, which makes the folder.
    pub fn of_member(root: PathBuf) -> io::Result<Self> {
        let link = Self::new(root, SIDES);
        fs::create_dir_all(&link.inbox)?;
        fs::create_dir_all(&link.outbox)?;
        Ok(link)
    }

    /// Shard 0's end.
    pub fn of_leader(root: PathBuf) -> Self {
        Self::new(root, [SIDES[1], SIDES[0]])
    }

    fn new(root: PathBuf, [out, inward]: [&str; 2]) -> Self {
        let (inbox, outbox) = (root.join(inward), root.join(out));
        Self {
            root,
            inbox,
            outbox,
            read: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
            written: Mutex::new(0),
            limit: AtomicU32::new(0),
        }
    }
}

fn name(number: u64) -> String {
    format!("{number:09}")
}

impl Link for FolderLink {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let temporary = self.outbox.join(format!("{}.tmp", name(*written)));
        // The other side takes away the folder when it is done with it.
        fs::write(&temporary, message)?;
        fs::rename(temporary, self.outbox.join(name(*written)))?;
        *written += 1;
        Ok(())
    }

    fn receive(&self, wait: Duration) -> io::Result<Received> {
        let number = self.read.load(Ordering::Relaxed);
        let path = self.inbox.join(name(number));
        let until = Instant::now() + wait;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let poll = POLLS[usize::from(last.elapsed() > A_WHILE)];
        loop {
            match fs::metadata(&path) {
                Ok(file) if file.len() > u64::from(self.limit.load(Ordering::Relaxed)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no message of a shard"));
                }
                Ok(_) => {
                    let message = fs::read(&path)?;
                    fs::remove_file(&path)?;
                    self.read.store(number + 1, Ordering::Relaxed);
                    *last = Instant::now();
                    return Ok(Received::Message(message));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.inbox.exists() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            if Instant::now() >= until {
                return Ok(Received::Nothing);
            }
            sleep(poll);
        }
    }

    fn limit(&self, bytes: u32) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    fn close(&self) {
        // Whoever comes second finds nothing.
        _ = fs::remove_dir_all(&self.root);
    }
}
