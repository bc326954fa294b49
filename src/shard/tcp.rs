//! A link over TCP: the length of each message, then the message.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::link::{Link, Received};

/// Bytes of a length.
const HEAD: usize = 4;
/// Read at once.
const CHUNK: usize = 1 << 16;

/// A connection.
pub(super) struct TcpLink {
    reader: Mutex<Reader>,
    writer: Mutex<TcpStream>,
    limit: AtomicU32,
}

struct Reader {
    stream: TcpStream,
    /// What has come and was not taken yet.
    bytes: Vec<u8>,
}

impl TcpLink {
    /// Over an open connection. Who takes nothing for so long is gone.
    pub fn new(stream: TcpStream, patience: Duration) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience))?;
        let reader = Mutex::new(Reader { stream: stream.try_clone()?, bytes: Vec::new() });
        Ok(Self { reader, writer: Mutex::new(stream), limit: AtomicU32::new(0) })
    }
}

impl Reader {
    /// Takes the next message, where it is whole.
    fn next(&mut self, limit: u32) -> io::Result<Option<Vec<u8>>> {
        let Some(head) = self.bytes.first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head);
        if length > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no message of a shard"));
        }
        let end = HEAD + length as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let message = self.bytes[HEAD..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some(message))
    }
}

impl Link for TcpLink {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let length = u32::try_from(message.len()).map_err(|_| io::Error::other("a message of more than 4 GB"))?;
        let mut stream = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&length.to_le_bytes())?;
        stream.write_all(message)
    }

    fn receive(&self, wait: Duration) -> io::Result<Received> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = self.limit.load(Ordering::Relaxed);
        if let Some(message) = reader.next(limit)? {
            return Ok(Received::Message(message));
        }
        reader.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let before = reader.bytes.len();
        reader.bytes.resize(before + CHUNK, 0);
        let Reader { stream, bytes } = &mut *reader;
        let read = stream.read(&mut bytes[before..]);
        reader.bytes.truncate(before + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(reader.next(limit)?.map_or(Received::Part, Received::Message)),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(Received::Nothing)
            }
            Err(e) => Err(e),
        }
    }

    fn limit(&self, bytes: u32) {
        self.limit.store(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Both ends of a connection; the second one as it is.
    fn pair() -> (TcpLink, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let link = TcpLink::new(listener.accept().unwrap().0, Duration::from_secs(30)).unwrap();
        link.limit(100);
        (link, near)
    }

    /// What comes, up to the end or an error.
    fn all(link: &TcpLink) -> (Vec<Vec<u8>>, io::ErrorKind) {
        let mut messages = Vec::new();
        loop {
            match link.receive(Duration::from_secs(30)) {
                Ok(Received::Message(message)) => messages.push(message),
                Ok(Received::Part | Received::Nothing) => {}
                Err(e) => return (messages, e.kind()),
            }
        }
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let (link, mut peer) = pair();
        peer.set_nodelay(true).unwrap();
        for byte in [2, 0, 0, 0, 7, 8, 0, 0, 0, 0, 1, 0, 0, 0, 9] {
            peer.write_all(&[byte]).unwrap();
        }
        drop(peer);
        assert_eq!(all(&link), (vec![vec![7, 8], vec![], vec![9]], io::ErrorKind::UnexpectedEof));
    }

    /// As of a shard that dies while it sends its records.
    #[test]
    fn a_message_that_breaks_off_is_none() {
        let (link, mut peer) = pair();
        peer.write_all(&[1, 0, 0, 0, 5, 50, 0, 0, 0, 1, 2, 3]).unwrap();
        drop(peer);
        assert_eq!(all(&link), (vec![vec![5]], io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn strangers_take_no_memory() {
        let (link, mut peer) = pair();
        peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(all(&link), (vec![], io::ErrorKind::InvalidData));
    }
}
