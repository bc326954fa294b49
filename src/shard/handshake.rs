//! Who may take part: both sides prove that they know the token, and neither sends it. JSON, so that any two versions understand why
//! they can't work together.

use std::{
    io,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::Sha256;

use super::link::{Link, Received, ShardError};
use crate::{
    load::{Share, Stop},
    text::visible,
};

/// Goes up when messages or records change.
const PROTOCOL: u32 = 2;
/// No message before it is longer.
const MOST_BYTES: u32 = 4096;

/// A shard asks to take part.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    tachometer: String,
    protocol: u32,
    rank: usize,
    of: usize,
    host: String,
    nonce: String,
}

/// Shard 0's answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Prove { nonce: String },
    Refused { why: String },
}

/// The other's proof.
#[derive(Debug, Serialize, Deserialize)]
struct Proof {
    code: String,
}

/// It takes part.
#[derive(Debug, Serialize, Deserialize)]
enum Welcome {
    In { code: String, run_id: String },
    Refused { why: String },
}

/// Who has been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub rank: usize,
    pub host: String,
}

/// Asks to take part; gives the run's id.
pub(super) fn join(
    link: &dyn Link,
    share: Share,
    host: &str,
    token: &str,
    until: Instant,
    stop: &Stop,
) -> Result<String, JoinError> {
    link.limit(MOST_BYTES);
    let nonce = nonce()?;
    let hello = Hello {
        tachometer: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        rank: share.rank,
        of: share.of,
        host: host.to_owned(),
        nonce: nonce.clone(),
    };
    say(link, &hello)?;
    let theirs = match hear(link, until, stop)? {
        Answer::Prove { nonce } => nonce,
        Answer::Refused { why } => return Err(refused(&why)),
    };
    say(link, &Proof { code: code(token, "shard", &[&theirs, &share.rank.to_string()]) })?;
    match hear(link, until, stop)? {
        Welcome::In { code, run_id } if is_code(&code, token, "leader", &[&nonce]) => {
            link.limit(u32::MAX);
            Ok(run_id)
        }
        Welcome::In { .. } => Err(ShardError("what answers there does not know the token".to_owned()).into()),
        Welcome::Refused { why } => Err(refused(&why)),
    }
}

/// Lets one in, or not. `take` keeps its place, and says why there is none.
pub(super) fn admit(
    link: &dyn Link,
    of: usize,
    token: &str,
    run_id: &str,
    (patience, stop): (Duration, &Stop),
    take: impl FnOnce(&Peer) -> Result<(), String>,
) -> Result<Peer, ShardError> {
    link.limit(MOST_BYTES);
    let until = Instant::now() + patience;
    let hello: Hello = hear(link, until, stop)?;
    let why = why_not(&hello, of);
    if let Some(why) = why {
        say(link, &Answer::Refused { why: why.clone() })?;
        return Err(ShardError(why));
    }
    let nonce = nonce()?;
    say(link, &Answer::Prove { nonce: nonce.clone() })?;
    let proof: Proof = hear(link, until, stop)?;
    let refuse = |why: String| -> Result<Peer, ShardError> {
        say(link, &Welcome::Refused { why: why.clone() })?;
        Err(ShardError(why))
    };
    if !is_code(&proof.code, token, "shard", &[&nonce, &hello.rank.to_string()]) {
        return refuse("it has another token (TACHOMETER_RENDEZVOUS_TOKEN)".to_owned());
    }
    let peer = Peer { rank: hello.rank, host: visible(&hello.host).into_owned() };
    if let Err(why) = take(&peer) {
        return refuse(why);
    }
    link.limit(u32::MAX);
    say(link, &Welcome::In { code: code(token, "leader", &[&hello.nonce]), run_id: run_id.to_owned() })?;
    Ok(peer)
}

fn why_not(hello: &Hello, of: usize) -> Option<String> {
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = visible(&hello.tachometer).into_owned();
    match () {
        () if theirs != ours || hello.protocol != PROTOCOL => {
            Some(format!("it is tachometer {theirs}, and shard 0 is {ours}: all shards need the same build"))
        }
        () if hello.of != of => Some(format!("it was told of {} shards, and shard 0 of {of}", hello.of)),
        () if hello.rank == 0 => Some("another process is shard 0, too".to_owned()),
        () if hello.rank >= of => Some(format!("there is no shard {} of {of}", hello.rank)),
        () => None,
    }
}

/// Why one can't take part.
#[derive(Debug)]
pub(super) enum JoinError {
    /// Nobody answers.
    Silent,
    /// The link was closed.
    Closed,
    /// Something that does not pass.
    Other(ShardError),
}

impl From<ShardError> for JoinError {
    fn from(error: ShardError) -> Self {
        Self::Other(error)
    }
}

impl From<io::Error> for JoinError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.into()),
        }
    }
}

impl From<JoinError> for ShardError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Silent => Self("it has not answered".to_owned()),
            JoinError::Closed => Self("it has closed the connection".to_owned()),
            JoinError::Other(error) => error,
        }
    }
}

fn refused(why: &str) -> JoinError {
    JoinError::Other(ShardError(format!("shard 0 does not take this one: {}", visible(why))))
}

fn say(link: &dyn Link, value: &impl Serialize) -> Result<(), JoinError> {
    let bytes = serde_json::to_vec(value).map_err(|e| ShardError(e.to_string()))?;
    Ok(link.send(&bytes)?)
}

/// Waits for a message until a moment, or until the run is stopped.
fn hear<T: DeserializeOwned>(link: &dyn Link, until: Instant, stop: &Stop) -> Result<T, JoinError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.reason().is_some() {
            return Err(JoinError::Silent);
        }
        if let Received::Message(bytes) = link.receive(left.min(Duration::from_millis(100)))? {
            let foreign = |_| JoinError::Other(ShardError("what came is no message of a shard".to_owned()));
            return serde_json::from_slice(&bytes).map_err(foreign);
        }
    }
}

/// A number that nobody has used.
fn nonce() -> Result<String, ShardError> {
    let number = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
    let (high, low) = number.map_err(|e| ShardError(e.to_string()))?;
    Ok(format!("{high:016x}{low:016x}"))
}

fn mac(token: &str, role: &str, parts: &[&str]) -> Hmac<Sha256> {
    // A key may have any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap_or_else(|e| unreachable!("{e}"));
    for part in [role].iter().chain(parts) {
        mac.update(part.as_bytes());
        mac.update(b"\n");
    }
    mac
}

fn code(token: &str, role: &str, parts: &[&str]) -> String {
    mac(token, role, parts).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the same time wherever it differs.
fn is_code(code: &str, token: &str, role: &str, parts: &[&str]) -> bool {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = code.as_bytes().chunks(2).map(byte).collect();
    bytes.is_some_and(|bytes| mac(token, role, parts).verify_slice(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::StopReason, shard::folder::FolderLink};

    const SOON: Duration = Duration::from_secs(30);

    /// What both sides say of a shard that asks to take part.
    fn meet(
        share: Share,
        tokens: [&str; 2],
        taken: &[usize],
    ) -> (Result<String, ShardError>, Result<Peer, ShardError>) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a");
        let (member, leader) = (FolderLink::of_member(root.clone()).unwrap(), FolderLink::of_leader(root));
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| {
                join(&member, share, "host-b", tokens[0], Instant::now() + SOON, &Stop::default())
                    .map_err(ShardError::from)
            });
            let take = |peer: &Peer| if taken.contains(&peer.rank) { Err("taken".to_owned()) } else { Ok(()) };
            let admitted = admit(&leader, 3, tokens[1], "run-7", (SOON, &Stop::default()), take);
            (joined.join().unwrap(), admitted)
        })
    }

    #[test]
    fn only_who_belongs_there_is_let_in() {
        let second = Share { rank: 2, of: 3 };
        let (joined, admitted) = meet(second, ["t", "t"], &[]);
        assert_eq!(joined.unwrap(), "run-7");
        assert_eq!(admitted.unwrap(), Peer { rank: 2, host: "host-b".to_owned() });
        let table: [(Share, [&str; 2], &[usize], &str); 6] = [
            (second, ["u", "t"], &[], "it has another token"),
            (second, ["", "t"], &[], "it has another token"),
            (second, ["t", "t"], &[2], "taken"),
            (Share { rank: 2, of: 4 }, ["t", "t"], &[], "it was told of 4 shards, and shard 0 of 3"),
            (Share { rank: 0, of: 3 }, ["t", "t"], &[], "another process is shard 0, too"),
            (Share { rank: 3, of: 3 }, ["t", "t"], &[], "there is no shard 3 of 3"),
        ];
        for (share, tokens, taken, why) in table {
            let (joined, admitted) = meet(share, tokens, taken);
            assert!(admitted.unwrap_err().0.starts_with(why), "{why}");
            assert!(joined.unwrap_err().0.starts_with(&format!("shard 0 does not take this one: {why}")), "{why}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let hello = |tachometer: &str, protocol| Hello {
            tachometer: tachometer.to_owned(),
            protocol,
            rank: 1,
            of: 2,
            host: String::new(),
            nonce: String::new(),
        };
        assert_eq!(why_not(&hello(env!("CARGO_PKG_VERSION"), PROTOCOL), 2), None);
        assert!(why_not(&hello("0.0.9\u{1b}", PROTOCOL), 2).unwrap().starts_with("it is tachometer 0.0.9\\u{1b}, and"));
        assert!(why_not(&hello(env!("CARGO_PKG_VERSION"), PROTOCOL + 1), 2).is_some());
    }

    /// Ctrl-C is answered at once, though nobody else answers.
    #[test]
    fn who_waits_to_be_let_in_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let member = FolderLink::of_member(folder.path().join("a")).unwrap();
        let (stop, never) = (Stop::default(), Instant::now() + 1000 * SOON);
        stop.stop(StopReason::Interrupted);
        let joined = join(&member, Share { rank: 1, of: 2 }, "b", "token", never, &stop);
        assert!(matches!(joined, Err(JoinError::Silent)), "{joined:?}");
    }

    #[test]
    fn a_leader_that_does_not_know_the_token_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a");
        let (member, leader) = (FolderLink::of_member(root.clone()).unwrap(), FolderLink::of_leader(root));
        leader.limit(MOST_BYTES);
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| {
                join(&member, Share { rank: 1, of: 2 }, "b", "token", Instant::now() + SOON, &Stop::default())
            });
            let until = Instant::now() + SOON;
            let Hello { nonce, .. } = hear(&leader, until, &Stop::default()).unwrap();
            say(&leader, &Answer::Prove { nonce: "n".to_owned() }).unwrap();
            let _: Proof = hear(&leader, until, &Stop::default()).unwrap();
            let code = code("guess", "leader", &[&nonce]);
            say(&leader, &Welcome::In { code, run_id: String::new() }).unwrap();
            assert_eq!(
                ShardError::from(joined.join().unwrap().unwrap_err()).0,
                "what answers there does not know the token"
            );
        });
    }
}
