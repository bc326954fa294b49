//! A persistent connection whose every read is stamped.

use std::{io, net::SocketAddr, time::Duration};
#[cfg(feature = "tls")]
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

#[cfg(feature = "tls")]
use tokio::io::{AsyncRead, ReadBuf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Target,
    clock::now_ns,
    failure::{Failure, FailureClass},
    lateness::Lateness,
    per_thread::{Buffers, PerThread},
    stamp::{Stamped, Stamps},
};

/// An open connection to the server, with what was read from it and not used yet.
pub struct Connection {
    io: Io,
    /// Lent by the thread while something is in it.
    buffer: Option<Box<[u8]>>,
    buffers: Buffers,
    start: usize,
    end: usize,
    /// When the bytes of the last read arrived, in nanoseconds of the monotonic clock.
    read_at_ns: u64,
    /// How much later than the kernel its reads took them.
    lateness: Lateness,
    /// Requests sent on it so far.
    requests: u32,
    /// After how many requests the server closes it, where it said so.
    max_requests: Option<u32>,
    /// How long the server keeps it idle, where it said so.
    keep_alive: Option<Duration>,
    /// When its last answer had ended; before the first one, when it was opened.
    idle_since_ns: u64,
    /// How long it took to open.
    opened_in: Duration,
    /// Before this nothing of what the next read takes can have arrived.
    not_before_ns: u64,
    /// Of no more use, whoever closed it.
    closed: bool,
    /// The server has closed it without having said so.
    dropped_by_server: bool,
}

enum Io {
    /// Without stamps where the kernel gives none.
    Tcp(TcpStream, Option<Stamps>),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Io {
    /// Reads without waiting.
    fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp, _) => tcp.try_read(into),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                // What lies on the socket may be TLS's own, a session ticket for one, and no answer.
                let mut buffer = ReadBuf::new(into);
                match Pin::new(tls).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
                    Poll::Ready(read) => read.map(|()| buffer.filled().len()),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            #[cfg(unix)]
            Self::Unix(unix) => unix.try_read(into),
        }
    }
}

/// What to do where the system has no more of something.
fn hint(e: &io::Error) -> &'static str {
    match e.kind() {
        // No kind of its own: EMFILE, ENFILE.
        _ if matches!(e.raw_os_error(), Some(23 | 24)) && cfg!(unix) => {
            ": each connection takes an open file; raise the limit (ulimit -n), or lower --concurrency (of an open loop, --max-in-flight)"
        }
        io::ErrorKind::AddrNotAvailable => {
            ": all local ports are taken, most of them by connections that were closed a minute ago or less; a server that \
             keeps its connections needs fewer"
        }
        _ => "",
    }
}

impl Connection {
    /// Opens one, trying each address of the host.
    ///
    /// # Errors
    /// [`FailureClass::Connect`].
    pub async fn open(target: &Target, thread: &PerThread) -> Result<Self, Failure> {
        let started_ns = now_ns();
        let connect = Self::open_io(target);
        let io = match tokio::time::timeout(target.timeouts.connect, connect).await {
            Ok(opened) => opened?,
            Err(_) => {
                let seconds = target.timeouts.connect.as_secs_f64();
                let message = format!("no connection to {} within {seconds} s", target.url);
                return Err(Failure::new(FailureClass::Connect, message));
            }
        };
        let opened_ns = now_ns();
        Ok(Self {
            io,
            opened_in: Duration::from_nanos(opened_ns - started_ns),
            idle_since_ns: opened_ns,
            not_before_ns: opened_ns,
            buffer: None,
            buffers: thread.buffers.clone(),
            start: 0,
            end: 0,
            read_at_ns: 0,
            lateness: thread.lateness.clone(),
            requests: 0,
            max_requests: None,
            keep_alive: None,
            closed: false,
            dropped_by_server: false,
        })
    }

    async fn open_io(target: &Target) -> Result<Io, Failure> {
        let failed = |e: &io::Error| {
            let message = format!("cannot connect to {}: {e}{}", target.url, hint(e));
            Failure::new(FailureClass::Connect, message)
        };
        #[cfg(unix)]
        if let Some(path) = &target.url.socket {
            return tokio::net::UnixStream::connect(path).await.map(Io::Unix).map_err(|e| failed(&e));
        }
        let (host, port) = match &target.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (target.url.host.as_str(), target.url.port),
        };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(|e| failed(&e))?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(mut tcp) => {
                    if let Some(proxy) = &target.proxy {
                        proxy.tunnel(&mut tcp, &target.url).await.map_err(|why| failed(&io::Error::other(why)))?;
                    }
                    // Requests are single writes; waiting to fill a segment would delay them.
                    tcp.set_nodelay(true).map_err(|e| failed(&e))?;
                    #[cfg(feature = "tls")]
                    if let Some(tls) = &target.tls {
                        let tls = tls.connect(&target.url.host, tcp).await.map_err(|e| failed(&e))?;
                        return Ok(Io::Tls(Box::new(tls)));
                    }
                    let stamps = Stamps::of(&tcp);
                    return Ok(Io::Tcp(tcp, stamps));
                }
                Err(e) => last = e,
            }
        }
        Err(failed(&last))
    }

    /// Whether the next request can go out on it: nothing unread, not closed by either side, not about to be.
    pub fn is_reusable(&mut self) -> bool {
        if self.closed || self.start != self.end {
            return false;
        }
        if self.max_requests.is_some_and(|max| self.requests >= max)
            || self.keep_alive.is_some_and(|limit| self.idle() >= limit)
        {
            return false;
        }
        // A server that closed an idle connection has sent its FIN: the read gives 0 or an error instead of blocking.
        let mut byte = [0];
        match self.io.try_read(&mut byte) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => true,
            _ => {
                self.closed = true;
                self.dropped_by_server = true;
                false
            }
        }
    }

    /// Whether the server has closed it without having said so, as [`Connection::is_reusable`] found.
    pub fn dropped_by_server(&self) -> bool {
        self.dropped_by_server
    }

    /// Whether it is of no more use.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Requests sent on it so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// How long it has been idle.
    pub fn idle(&self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.idle_since_ns))
    }

    /// How long it took to open: about a round trip, or several with TLS.
    pub fn opened_in(&self) -> Duration {
        self.opened_in
    }

    /// Says that an answer has ended: from now on it is idle.
    pub fn begin_idle(&mut self) {
        self.idle_since_ns = now_ns();
    }

    /// Sends one request. Notes the moment before its first byte is handed to the kernel, in nanoseconds.
    pub async fn send(&mut self, request: &[u8], sent_ns: &mut Option<u64>) -> io::Result<()> {
        self.requests += 1;
        self.not_before_ns = now_ns();
        *sent_ns = Some(self.not_before_ns);
        match &mut self.io {
            Io::Tcp(tcp, _) => tcp.write_all(request).await,
            #[cfg(feature = "tls")]
            Io::Tls(tls) => {
                tls.write_all(request).await?;
                tls.flush().await
            }
            #[cfg(unix)]
            Io::Unix(unix) => unix.write_all(request).await,
        }
    }

    /// Reads what is there, or waits for it: 0 at the end of the stream.
    pub async fn read(&mut self) -> io::Result<usize> {
        let read = match self.readable().await {
            Ok(()) => self.read_now().await,
            Err(e) => Err(e),
        };
        let Stamped { bytes, at_ns, late_ns } = read.inspect_err(|_| {
            self.closed = true;
            self.read_at_ns = now_ns();
        })?;
        self.read_at_ns = at_ns;
        self.not_before_ns = at_ns;
        if bytes > 0 {
            self.lateness.record(late_ns);
        }
        self.closed |= bytes == 0;
        self.end += bytes;
        self.give_back();
        Ok(bytes)
    }

    /// Waits for something to read, where no buffer is held already.
    async fn readable(&self) -> io::Result<()> {
        match &self.io {
            _ if self.buffer.is_some() => Ok(()),
            Io::Tcp(tcp, _) => tcp.readable().await,
            // What is there to be read may be in TLS's own buffer.
            #[cfg(feature = "tls")]
            Io::Tls(_) => Ok(()),
            #[cfg(unix)]
            Io::Unix(unix) => unix.readable().await,
        }
    }

    async fn read_now(&mut self) -> io::Result<Stamped> {
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
        if self.end == buffer.len() {
            buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == buffer.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the read buffer is full"));
            }
        }
        let into = &mut buffer[self.end..];
        match &mut self.io {
            Io::Tcp(tcp, Some(stamps)) => stamps.read(tcp, into, self.not_before_ns).await,
            Io::Tcp(tcp, None) => tcp.read(into).await.map(Stamped::now),
            #[cfg(feature = "tls")]
            Io::Tls(tls) => tls.read(into).await.map(Stamped::now),
            #[cfg(unix)]
            Io::Unix(unix) => unix.read(into).await.map(Stamped::now),
        }
    }

    /// Gives the buffer back where nothing is in it.
    fn give_back(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if let Some(buffer) = self.buffer.take() {
                self.buffers.give(buffer);
            }
        }
    }

    /// When the bytes of the last read arrived.
    pub fn read_at_ns(&self) -> u64 {
        self.read_at_ns
    }

    /// What was read and not used yet.
    pub fn unread(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    /// Marks bytes as used.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        self.give_back();
    }

    /// Notes what a response said about the connection's future.
    pub fn note_keep_alive(&mut self, head: &super::http1::Head) {
        self.closed |= !head.keep_alive;
        if let Some(max) = head.keep_alive_max {
            // Servers count down (Apache) or name the total (llama.cpp); the lower reading is safe for both.
            self.max_requests = Some(self.max_requests.unwrap_or(u32::MAX).min(max.max(1)));
        }
        if let Some(seconds) = head.keep_alive_timeout_s {
            // It runs from the end of the answer. A request that is on its way when the server gives up would be lost: stay clear
            // of the limit.
            self.keep_alive = Some(Duration::from_secs(seconds).saturating_sub(Duration::from_millis(500)));
        }
    }

    /// Gives the connection up: it can't be used again.
    pub fn close(&mut self) {
        self.closed = true;
    }
}
