//! Where shards find one another.

use std::{
    collections::HashSet,
    fmt, fs, io,
    net::{TcpListener, TcpStream, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    folder::FolderLink,
    link::{Link, ShardError},
    tcp::TcpLink,
};
use crate::load::{Share, Stop};

/// A place that all shards of a run know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendezvous {
    /// A folder that all of them can write.
    Folder(PathBuf),
    /// A port on which shard 0 listens, `host:port`.
    Tcp(String),
}

/// Which part of a run a process is, and how it finds the others.
#[derive(Clone)]
pub struct Terms {
    /// Its part.
    pub share: Share,
    /// Where the others are.
    pub rendezvous: Rendezvous,
    /// What all of them know, and nobody else.
    pub token: String,
    /// How long one that is not there, or is silent, is waited for.
    pub patience: Duration,
}

/// Never the token.
impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} at {} within {:?}", self.share, self.rendezvous, self.patience)
    }
}

impl FromStr for Rendezvous {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.rsplit_once(':').filter(|(host, _)| !host.contains('/'));
        match port.map(|(host, port)| (host, port.parse::<u16>())) {
            Some((host, Ok(port))) if !host.is_empty() && port > 0 => Ok(Self::Tcp(text.to_owned())),
            Some((_, Ok(_))) => Err(format!("`{text}` needs a host and a port, such as node1:17777")),
            _ if text.is_empty() => Err("it names no place: give a folder, or HOST:PORT".to_owned()),
            _ => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// How often one looks for others.
const POLL: Duration = Duration::from_millis(50);
/// What the folders of shards that ask to take part begin with.
const ASKS: &str = "shard-";

/// Where shard 0 waits for the others.
pub(super) enum Door {
    Folder { root: PathBuf, seen: HashSet<PathBuf> },
    Tcp(TcpListener),
}

impl Terms {
    /// Opens the door, on the address that was given and no other.
    pub(super) fn open(&self) -> Result<Door, ShardError> {
        match &self.rendezvous {
            Rendezvous::Folder(root) => {
                let door = fs::create_dir_all(root).map(|()| Door::Folder { root: root.clone(), seen: HashSet::new() });
                door.map_err(|e| ShardError(format!("cannot use {}: {e}", root.display())))
            }
            Rendezvous::Tcp(address) => {
                let listen = || {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    io::Result::Ok(Door::Tcp(listener))
                };
                listen().map_err(|e| ShardError(format!("cannot listen on {address}: {e}")))
            }
        }
    }

    /// Finds shard 0, as soon as it is there.
    pub(super) fn reach(&self, stop: &Stop) -> Result<Arc<dyn Link>, ShardError> {
        match &self.rendezvous {
            Rendezvous::Folder(root) => {
                let number = getrandom::u64().map_err(|e| ShardError(e.to_string()))?;
                let own = root.join(format!("{ASKS}{}-{number:016x}", self.share.rank));
                let link = FolderLink::of_member(own);
                Ok(Arc::new(link.map_err(|e| ShardError(format!("cannot use {}: {e}", root.display())))?))
            }
            Rendezvous::Tcp(address) => {
                let until = Instant::now() + self.patience;
                loop {
                    match connect(address, self.patience) {
                        Ok(link) => return Ok(Arc::new(link)),
                        Err(e) if Instant::now() >= until => {
                            return Err(ShardError(format!("cannot reach shard 0 at {address}: {e}")));
                        }
                        Err(_) if stop.reason().is_some() => return Err(ShardError("interrupted".to_owned())),
                        Err(_) => sleep(POLL),
                    }
                }
            }
        }
    }
}

fn connect(address: &str, patience: Duration) -> io::Result<TcpLink> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address of that name");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience.min(Duration::from_secs(5))) {
            Ok(stream) => return TcpLink::new(stream, patience),
            Err(e) => last = e,
        }
    }
    Err(last)
}

impl Door {
    /// Whoever knocks next, if somebody has.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Arc<dyn Link>>, ShardError> {
        match self {
            Self::Folder { root, seen } => {
                for entry in fs::read_dir(root)?.filter_map(Result::ok) {
                    let asks = entry.file_name().to_string_lossy().starts_with(ASKS);
                    if asks && seen.insert(entry.path()) {
                        return Ok(Some(Arc::new(FolderLink::of_leader(entry.path()))));
                    }
                }
                Ok(None)
            }
            Self::Tcp(listener) => match listener.accept() {
                Ok((stream, _)) => Ok(Some(Arc::new(TcpLink::new(stream, patience)?))),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(e) => Err(e.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        for text in ["node1:17777", "127.0.0.1:1", "[::1]:8080", "job-0.job:17777"] {
            assert_eq!(text.parse(), Ok(Rendezvous::Tcp(text.to_owned())));
        }
        for text in ["/shared/run", "run", "./a:b", "/a:1", "c:\\x"] {
            assert_eq!(text.parse(), Ok(Rendezvous::Folder(text.into())));
        }
        for text in ["", ":80", "host:0"] {
            assert!(text.parse::<Rendezvous>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let terms = Terms {
            share: Share::default(),
            rendezvous: Rendezvous::Folder("x".into()),
            token: "secret".to_owned(),
            patience: Duration::ZERO,
        };
        assert!(!format!("{terms:?}").contains("secret"));
    }
}
