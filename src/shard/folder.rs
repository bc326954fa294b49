//! A link through a folder that both sides can write: a file for each message, numbered, which its reader removes.

use std::{
    fs, io,
    path::{Path, PathBuf},
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
    /// The end of the shard that asks to be let in, which makes the folder: what shard 0 finds is whole.
    pub fn of_member(root: PathBuf) -> io::Result<Self> {
        let unfinished = hidden(&root, "joining");
        for side in SIDES {
            fs::create_dir_all(unfinished.join(side))?;
        }
        fs::rename(&unfinished, &root)?;
        Ok(Self::new(root, SIDES))
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

/// Another name beside that folder, which nobody looks for.
fn hidden(root: &Path, why: &str) -> PathBuf {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    root.with_file_name(format!(".{why}-{name}"))
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
                // To open the folder also makes an NFS client ask its server what has changed there.
                Err(e) if e.kind() == io::ErrorKind::NotFound => match fs::read_dir(&self.inbox) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => {}
                },
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
        // Whoever comes second finds nothing. What is being written while files are removed would stay behind, so that
        // nobody may find the folder any more by then.
        let leaving = hidden(&self.root, "leaving");
        if fs::rename(&self.root, &leaving).is_ok() {
            // A file that was just being given its name is there at the second look.
            _ = fs::remove_dir_all(&leaving).or_else(|_| fs::remove_dir_all(&leaving));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        // As often as it takes to be sure that folders were seen at all.
        let found = AtomicU64::new(0);
        std::thread::scope(|threads| {
            let looks = threads.spawn(|| {
                while found.load(Ordering::SeqCst) < 50 {
                    for entry in fs::read_dir(place.path()).unwrap().filter_map(Result::ok) {
                        if entry.file_name().to_string_lossy().starts_with('.') {
                            continue;
                        }
                        // It is there whole, or gone by now.
                        let link = FolderLink::of_leader(entry.path());
                        let is_whole = link.receive(Duration::ZERO).is_ok();
                        assert!(is_whole || !entry.path().exists(), "{}", entry.path().display());
                        found.fetch_add(u64::from(is_whole), Ordering::SeqCst);
                    }
                }
            });
            for i in 0.. {
                if looks.is_finished() {
                    break;
                }
                let link = FolderLink::of_member(place.path().join(format!("shard-{i}"))).unwrap();
                std::thread::yield_now();
                link.close();
            }
            looks.join().unwrap();
        });
        assert!(fs::read_dir(place.path()).unwrap().next().is_none());
    }

    #[test]
    fn nothing_stays_behind_of_a_folder_that_is_still_written() {
        let place = tempfile::tempdir().unwrap();
        for i in 0..200 {
            let root = place.path().join(format!("shard-{i}"));
            let (member, leader) = (FolderLink::of_member(root.clone()).unwrap(), FolderLink::of_leader(root));
            std::thread::scope(|threads| {
                threads.spawn(|| (0..10_000).all(|_| leader.send(b"Are you there?").is_ok()));
                std::thread::yield_now();
                member.close();
            });
        }
        assert!(fs::read_dir(place.path()).unwrap().next().is_none());
    }
}
