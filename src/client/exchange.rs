//! One client: one prompt after another on a persistent connection, each becoming a record.

use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::{
    clock::now_ns,
    connection::Connection,
    failure::Failure,
    http1::{self, Framing},
    per_thread::PerThread,
    record::Record,
    request::RequestWriter,
    response::{End, Limit, ResponseReader},
    target::{Target, Timeouts},
};
use crate::dataset::Prompt;

/// What the connections of a pass cost; none of it lies inside a latency.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionStats {
    /// Connections opened.
    pub opened: u32,
    /// Of those, the ones opened in the middle of the pass, because the server had closed the last one.
    pub reopened: u32,
    /// Time spent opening them, in nanoseconds.
    pub connect_ns: u64,
    /// Requests sent again because the connection proved closed before any byte of an answer.
    pub resent: u32,
}

impl std::ops::AddAssign for ConnectionStats {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.reopened += other.reopened;
        self.connect_ns += other.connect_ns;
        self.resent += other.resent;
    }
}

/// One of the concurrent clients of a pass.
pub struct Client {
    target: Arc<Target>,
    writer: Arc<RequestWriter>,
    number: usize,
    connection: Option<Connection>,
    request: Vec<u8>,
    reader: ResponseReader,
    stats: ConnectionStats,
    thread: PerThread,
}

/// How long after `[DONE]` the end of the body is waited for, so that the connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);
/// How soon after a send the end of a connection shows that it was closed before the request reached the server.
const STALE_WITHIN: Duration = Duration::from_millis(100);
/// How long a server is watched for closing a connection it was not done with.
const SETTLE: Duration = Duration::from_millis(20);

impl Client {
    /// The client of that number (from 0), without a connection yet. `thread` is the same for all clients of a
    /// thread.
    pub fn new(
        target: Arc<Target>,
        writer: Arc<RequestWriter>,
        streaming: bool,
        number: usize,
        thread: PerThread,
    ) -> Self {
        Self {
            thread,
            target,
            writer,
            number,
            connection: None,
            request: Vec::new(),
            reader: ResponseReader::new(streaming),
            stats: ConnectionStats::default(),
        }
    }

    /// Opens the connection, if there is none that can be used.
    ///
    /// # Errors
    /// Where the server can't be reached.
    pub async fn connect(&mut self) -> Result<(), Failure> {
        if let Some(connection) = &mut self.connection {
            let fresh = connection.requests() == 0 || !self.target.one_request_per_connection.load(Ordering::Relaxed);
            if fresh && connection.is_reusable() {
                return Ok(());
            }
            self.learn();
        }
        let reopening = self.connection.take().is_some();
        let started_ns = now_ns();
        self.connection = Some(Connection::open(&self.target, self.thread.lateness.clone()).await?);
        self.stats.opened += 1;
        self.stats.reopened += u32::from(reopening);
        self.stats.connect_ns += now_ns() - started_ns;
        Ok(())
    }

    /// Gives the server the time to close the connection after a response, so that it is known before the next pass.
    pub async fn settle(&mut self) {
        if let Some(connection) = &mut self.connection
            && connection.requests() == 1
        {
            tokio::time::sleep(SETTLE).await;
            connection.is_reusable();
            self.learn();
        }
    }

    /// A server that dropped a connection after its first request will drop the next one too.
    fn learn(&self) {
        if self.connection.as_ref().is_some_and(|c| c.requests() == 1 && c.dropped_by_server()) {
            self.target.one_request_per_connection.store(true, Ordering::Relaxed);
        }
    }

    /// What its connections cost so far.
    pub fn connection_stats(&self) -> ConnectionStats {
        self.stats
    }

    /// The text of the last response.
    pub fn last_text(&self) -> &str {
        self.reader.text()
    }

    /// Sends one prompt and reads the answer to its end.
    pub async fn complete(&mut self, index: usize, prompt: &Prompt, requested_tokens: u32, request_id: &str) -> Record {
        let mut record = Record::new(index, prompt.prompt_tokens, requested_tokens);
        // Room for every token, so that none of them allocates.
        record.gaps.reserve_exact(requested_tokens.min(1 << 16) as usize);
        self.writer.write(prompt, self.number, request_id, &mut self.request);
        for attempt in 0.. {
            let reused = match self.connect().await {
                Ok(()) => self.connection.as_ref().is_some_and(|c| c.requests() > 0),
                Err(failure) => {
                    record.end_ns = now_ns();
                    record.outcome = Err(failure);
                    break;
                }
            };
            self.reader.reset();
            let end = self.exchange(&mut record).await;
            if let Some(connection) = &mut self.connection
                && !matches!(end, End::Complete)
            {
                connection.close();
            }
            // The server had dropped the idle connection before the request came: its close then arrives about a round trip
            // after the send. One that comes later ends a request that the server may have worked on, and is a failure.
            let waited_ns = now_ns().saturating_sub(record.sent_ns.unwrap_or_default());
            let dropped = !self.reader.has_head() && matches!(end, End::Closed | End::Broken(_));
            if reused && attempt == 0 && dropped && waited_ns < STALE_WITHIN.as_nanos() as u64 {
                self.stats.resent += 1;
                if self.connection.as_ref().is_some_and(|c| c.requests() == 2) {
                    self.target.one_request_per_connection.store(true, Ordering::Relaxed);
                }
                continue;
            }
            self.reader.conclude(end, now_ns(), &mut record);
            record.outcome = record.outcome.map_err(|f| Failure::new(f.class, self.writer.redact(f.message)));
            break;
        }
        record.gaps.shrink_to_fit();
        record
    }

    async fn exchange(&mut self, record: &mut Record) -> End {
        let Some(connection) = &mut self.connection else { return End::Closed };
        let timeouts = self.target.timeouts;
        let send = self.thread.send(connection.send(&self.request, &mut record.sent_ns));
        match tokio::time::timeout(timeouts.total, send).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return End::Broken(e),
            Err(_) => return End::TimedOut(Limit::Total, timeouts.total),
        }
        let limits = Limits { timeouts, streaming: self.reader.is_streaming() };
        let mut timer = pin!(tokio::time::sleep(limits.next(record, None).1));
        let mut waits_for_token = true;
        let mut drained = None;
        let mut framing = match read_head(connection, &mut self.reader, record, &limits, timer.as_mut()).await {
            Ok(framing) => framing,
            Err(end) => return end,
        };
        loop {
            let at_ns = connection.read_at_ns();
            let reader = &mut self.reader;
            let used = framing.decode(connection.unread(), |payload| reader.take_payload(payload, at_ns, record));
            match used {
                Ok(used) => connection.consume(used),
                Err(failure) => return End::Malformed(failure),
            }
            if let Some(failure) = reader.take_failure() {
                return End::Malformed(failure);
            }
            if framing.is_done() {
                return End::Complete;
            }
            if waits_for_token && record.first_token_ns.is_some() {
                waits_for_token = false;
                limits.rearm(timer.as_mut(), record, reader);
            }
            // What keeps coming keeps the timer from being looked at.
            let since_send = connection.read_at_ns().saturating_sub(record.sent_ns.unwrap_or(u64::MAX));
            if Duration::from_nanos(since_send) > timeouts.total {
                return End::TimedOut(Limit::Total, timeouts.total);
            }
            let read = if reader.is_done() {
                let drained = *drained.get_or_insert_with(|| Instant::now() + DRAIN);
                match tokio::time::timeout_at(drained, connection.read()).await {
                    Ok(read) if framing != Framing::UntilClose => read,
                    _ => {
                        connection.close();
                        return End::Complete;
                    }
                }
            } else {
                match read(connection, reader, record, &limits, timer.as_mut()).await {
                    Ok(read) => read,
                    Err(end) => return end,
                }
            };
            match read {
                // A stream that ends so may have been cut: its last event tells.
                Ok(0) if framing == Framing::UntilClose && !reader.reads_events() => return End::Complete,
                Ok(0) => return End::Closed,
                Ok(_) => reader.begin_read(),
                Err(e) => return End::Broken(e),
            }
        }
    }
}

async fn read_head(
    connection: &mut Connection,
    reader: &mut ResponseReader,
    record: &mut Record,
    limits: &Limits,
    mut timer: Pin<&mut Sleep>,
) -> Result<Framing, End> {
    loop {
        match read(connection, reader, record, limits, timer.as_mut()).await? {
            Ok(0) => return Err(End::Closed),
            Ok(_) => reader.begin_read(),
            Err(e) => return Err(End::Broken(e)),
        }
        let parsed = http1::parse_head(connection.unread()).map_err(End::Malformed)?;
        let Some((head, length)) = parsed else { continue };
        connection.consume(length);
        connection.note_keep_alive(&head);
        record.headers_ns = Some(connection.read_at_ns());
        let framing = head.framing;
        reader.take_head(head).map_err(End::Malformed)?;
        return Ok(framing);
    }
}

/// The limits of one request, which share one timer.
struct Limits {
    timeouts: Timeouts,
    streaming: bool,
}

impl Limits {
    /// The limit that runs out next, and the time left to it.
    fn next(&self, record: &Record, last_event_ns: Option<u64>) -> (Limit, Duration) {
        let Timeouts { first_token, stall, total, .. } = self.timeouts;
        let now = now_ns();
        let left = |since_ns: Option<u64>, limit: Duration| {
            limit.saturating_sub(Duration::from_nanos(now.saturating_sub(since_ns.unwrap_or(now))))
        };
        let whole = (Limit::Total, left(record.sent_ns, total));
        let part = match record.first_token_ns {
            _ if !self.streaming => return whole,
            None => (Limit::FirstToken, left(record.sent_ns, first_token)),
            Some(_) => (Limit::Stall, left(last_event_ns, stall)),
        };
        if part.1 < whole.1 { part } else { whole }
    }

    fn rearm(&self, timer: Pin<&mut Sleep>, record: &Record, reader: &ResponseReader) {
        timer.reset(Instant::now() + self.next(record, reader.last_event_ns()).1);
    }

    fn of(&self, limit: Limit) -> Duration {
        match limit {
            Limit::FirstToken => self.timeouts.first_token,
            Limit::Stall => self.timeouts.stall,
            Limit::Total => self.timeouts.total,
        }
    }
}

/// Reads, or gives up at a limit. What is there to be read is read, however late it is.
async fn read(
    connection: &mut Connection,
    reader: &ResponseReader,
    record: &Record,
    limits: &Limits,
    mut timer: Pin<&mut Sleep>,
) -> Result<io::Result<usize>, End> {
    loop {
        tokio::select! {
            biased;
            read = connection.read() => return Ok(read),
            () = timer.as_mut() => {
                let (limit, left) = limits.next(record, reader.last_event_ns());
                if left.is_zero() {
                    return Err(End::TimedOut(limit, limits.of(limit)));
                }
                // Events have come since it was set.
                limits.rearm(timer.as_mut(), record, reader);
            }
        }
    }
}
