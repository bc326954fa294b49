//! A way between two shards, whatever it goes over: whole messages, in order, each with a checksum.

use std::{io, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

/// Why shards can't work together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShardError(pub String);

impl From<io::Error> for ShardError {
    fn from(error: io::Error) -> Self {
        Self(match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "it has closed the connection".to_owned()
            }
            _ => error.to_string(),
        })
    }
}

/// What waiting for a message gave.
pub(super) enum Received {
    /// A message.
    Message(Vec<u8>),
    /// A part of one.
    Part,
    /// Nothing.
    Nothing,
}

/// One end of it. Several threads may send; one receives.
pub(super) trait Link: Send + Sync {
    /// Sends a message.
    fn send(&self, message: &[u8]) -> io::Result<()>;

    /// Waits for the next one, for so long at most.
    fn receive(&self, wait: Duration) -> io::Result<Received>;

    /// Takes no message that is longer, from one that has not said who it is.
    fn limit(&self, bytes: u32);

    /// What it leaves behind is cleared away.
    fn close(&self) {}
}

/// Bytes of a checksum.
const SUM: usize = 4;

/// A value as bytes that can be checked.
///
/// # Errors
/// Where it can't be written so.
pub(super) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_stdvec(value).map_err(io::Error::other)?;
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    Ok(bytes)
}

/// The value of such bytes.
///
/// # Errors
/// Where they are not what was written.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "what came is damaged: its checksum is another");
    let (bytes, sum) = bytes.split_last_chunk::<SUM>().ok_or_else(damaged)?;
    if crc32fast::hash(bytes) != u32::from_le_bytes(*sum) {
        return Err(damaged());
    }
    postcard::from_bytes(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Sends a value.
pub(super) fn say(link: &dyn Link, value: &impl Serialize) -> Result<(), ShardError> {
    Ok(link.send(&encode(value)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_messages_are_found() {
        let bytes = encode(&("a word", 7_u64)).unwrap();
        assert_eq!(decode::<(String, u64)>(&bytes).unwrap(), ("a word".to_owned(), 7));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode::<(String, u64)>(&damaged).is_err(), "byte {at}");
        }
        assert!(decode::<u64>(&[]).is_err());
    }
}
