//! One client: one prompt after another on a persistent connection, each becoming a record.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::{
    clock::now_ns,
    connection::Connection,
    failure::{Failure, FailureClass},
    http1::{self, Framing},
    per_thread::PerThread,
    record::Record,
    request::RequestWriter,
    response::{End, Limit, Missing, ResponseReader},
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

/// How long the end of a body is waited for when the answer is whole.
const END_WAIT: Duration = Duration::from_millis(50);
/// How long after the last finish reason the usage that was asked for is waited for.
const USAGE_WAIT: Duration = Duration::from_secs(1);
/// For no longer than this anything is read that comes after a whole answer.
const MOST_TAIL: Duration = Duration::from_secs(1);
/// A connection that was idle for less than this was not closed for its idleness.
const STALE_AFTER: Duration = Duration::from_millis(500);
/// How soon after a send the end of a connection shows that it was closed before the request reached the server; the time that
/// it took to open, about a round trip, comes on top.
const STALE_WITHIN: Duration = Duration::from_millis(5);
/// How long a server is watched for closing a connection it was not done with.
const SETTLE: Duration = Duration::from_millis(20);
/// A close that is noticed this soon after the answer came with the answer, and not from idleness.
const AT_ONCE: Duration = Duration::from_millis(100);

impl Client {
    /// The client of that number (from 0), without a connection yet. `thread` is the same for all clients of a
    /// thread.
    pub fn new(target: Arc<Target>, writer: Arc<RequestWriter>, number: usize, thread: PerThread) -> Self {
        let sampling = writer.sampling();
        Self {
            reader: ResponseReader::new(sampling.api, sampling.stream),
            thread,
            target,
            writer,
            number,
            connection: None,
            request: Vec::new(),
            stats: ConnectionStats::default(),
        }
    }

    /// Opens the connection, if there is none that can be used.
    ///
    /// # Errors
    /// Where the server can't be reached.
    pub async fn connect(&mut self) -> Result<(), Failure> {
        if self.can_use_connection().await {
            return Ok(());
        }
        let reopening = self.connection.take().is_some();
        let started_ns = now_ns();
        self.connection = Some(Connection::open(&self.target, self.thread.lateness.clone()).await?);
        self.stats.opened += 1;
        self.stats.reopened += u32::from(reopening);
        self.stats.connect_ns += now_ns() - started_ns;
        Ok(())
    }

    /// Whether the next request can go out on the connection. After the first answer of all, this waits to see whether the
    /// server closes it.
    async fn can_use_connection(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let mut usable = connection.is_reusable();
        if usable && connection.requests() == 1 {
            let (habits, idle) = (&self.target.habits, connection.idle());
            if habits.closes_after_each_answer() && idle < SETTLE {
                return false;
            }
            if !habits.knows_connections() && idle < SETTLE {
                tokio::time::sleep(SETTLE - idle).await;
                usable = connection.is_reusable();
            }
        }
        self.learn();
        usable
    }

    /// Gives the server the time to close the connection after a response, so that it is known before the next pass.
    pub async fn settle(&mut self) {
        if let Some(connection) = &mut self.connection
            && connection.requests() == 1
        {
            tokio::time::sleep(SETTLE.saturating_sub(connection.idle())).await;
            connection.is_reusable();
            self.learn();
        }
    }

    /// What a connection after its first answer tells: a server that dropped it at once will drop the next one too, and one that
    /// kept it will keep the next one.
    fn learn(&self) {
        let Some(connection) = self.connection.as_ref().filter(|connection| connection.requests() == 1) else { return };
        let habits = &self.target.habits;
        match connection.dropped_by_server() {
            true if connection.idle() < AT_ONCE => habits.note_closes(true),
            false if !connection.is_closed() && connection.idle() >= SETTLE => habits.note_closes(false),
            _ => {}
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
        self.thread.begin_request();
        for attempt in 0.. {
            if let Err(failure) = self.connect().await {
                record.end_ns = now_ns();
                record.outcome = Err(failure);
                break;
            }
            let reused = self.connection.as_ref().filter(|connection| connection.requests() > 0);
            let idle = reused.map(Connection::idle);
            self.reader.reset();
            let mut end = self.exchange(&mut record).await;
            if let Some(connection) = &mut self.connection {
                connection.begin_idle();
                if !matches!(end, End::Complete) {
                    connection.close();
                }
            }
            let dropped = !self.reader.has_head() && matches!(end, End::Closed | End::Broken(_));
            let waited = Duration::from_nanos(now_ns().saturating_sub(record.sent_ns.unwrap_or_default()));
            if attempt == 0
                && dropped
                && let (Some(idle), Some(connection)) = (idle, &self.connection)
                && is_stale(idle, waited, connection.opened_in())
            {
                if self.thread.may_resend() {
                    self.stats.resent += 1;
                    continue;
                }
                let message = "the server closed an idle connection instead of answering, and 1 % of the requests have been sent \
                               again for that already";
                end = End::Refused(Failure::new(FailureClass::Reset, message));
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
        let mut tail = Tail::default();
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
            if reader.has_usage() {
                self.target.habits.note_usage_left_out(false);
            }
            if framing.is_done() {
                self.target.habits.note_left_open(false);
                tail.note(record);
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
            let read = match reader.missing(self.writer.asks_usage()) {
                Missing::Answer => {
                    tail.reset();
                    match read(connection, reader, record, &limits, timer.as_mut()).await {
                        Ok(read) => read,
                        Err(end) => return end,
                    }
                }
                // Nothing that is still to come matters, and the connection has no use after it.
                Missing::End if framing == Framing::UntilClose && reader.is_done() => {
                    connection.close();
                    return End::LeftOpen;
                }
                missing => match tail.read(connection, missing, &self.target).await {
                    Some(read) => read,
                    None => {
                        if missing == Missing::Usage {
                            self.target.habits.note_usage_left_out(true);
                        }
                        self.target.habits.note_left_open(true);
                        tail.note(record);
                        record.left_open = true;
                        connection.close();
                        return End::LeftOpen;
                    }
                },
            };
            match read {
                // A stream that ends so may have been cut: its last event tells.
                Ok(0) if framing == Framing::UntilClose && !reader.reads_events() => return End::Complete,
                Ok(0) => {
                    if reader.missing(false) == Missing::End {
                        self.target.habits.note_left_open(false);
                    }
                    tail.note(record);
                    return End::Closed;
                }
                Ok(_) => reader.begin_read(),
                Err(e) => {
                    tail.note(record);
                    return End::Broken(e);
                }
            }
        }
    }
}

/// Whether a request on a connection that was idle for so long, and was closed so soon after the send without a byte of an
/// answer, never reached the server: its close then arrives about a round trip after the send. One that comes later, or on a
/// connection that was in use just before, ends a request that the server may have worked on.
fn is_stale(idle: Duration, waited: Duration, opened_in: Duration) -> bool {
    idle >= STALE_AFTER && waited < STALE_WITHIN + opened_in.min(AT_ONCE)
}

/// What follows an answer that is whole.
#[derive(Default)]
struct Tail {
    since: Option<Instant>,
}

impl Tail {
    /// Reads what is missing, or gives up: where nothing comes for that long, or still something after a second.
    async fn read(
        &mut self,
        connection: &mut Connection,
        missing: Missing,
        target: &Target,
    ) -> Option<io::Result<usize>> {
        let patience = match missing {
            Missing::Usage if target.habits.sends_usage() => USAGE_WAIT,
            _ if target.habits.ends_bodies() => END_WAIT,
            _ => {
                // No more than what is there already.
                let mut read = pin!(connection.read());
                return poll_fn(|context| match read.as_mut().poll(context) {
                    Poll::Ready(read) => Poll::Ready(Some(read)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await;
            }
        };
        let last = *self.since.get_or_insert_with(Instant::now) + MOST_TAIL;
        tokio::time::timeout_at(last.min(Instant::now() + patience), connection.read()).await.ok()
    }

    /// Something was missing after all.
    fn reset(&mut self) {
        self.since = None;
    }

    fn note(&self, record: &mut Record) {
        record.end_wait_ns = self.since.map_or(0, |since| since.elapsed().as_nanos() as u64);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_that_meets_an_idle_connection_at_once_is_stale() {
        let ms = Duration::from_millis;
        // Idle, from the send to the close, the time it took to open.
        let table = [
            (500, 0, 0, true),
            (500, 4, 0, true),
            (499, 0, 0, false),
            (0, 0, 0, false),
            (60_000, 5, 0, false),
            (60_000, 80, 0, false),
            // Far away.
            (5_000, 90, 86, true),
            (5_000, 91, 86, false),
            // A connection that took long to open is no reason to believe much more.
            (5_000, 104, 10_000, true),
            (5_000, 105, 10_000, false),
        ];
        for (idle, waited, opened_in, expected) in table {
            assert_eq!(is_stale(ms(idle), ms(waited), ms(opened_in)), expected, "{idle} {waited} {opened_in}");
        }
    }
}
