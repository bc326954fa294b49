//! One client: one prompt after another on a persistent connection, each becoming a record.

use std::{sync::Arc, time::Duration};

use super::{
    clock::now_ns,
    connection::Connection,
    exchange::{Asked, exchange},
    failure::{Failure, FailureClass},
    per_thread::PerThread,
    record::Record,
    request::{Headers, RequestWriter, Sampling},
    response::{Arrived, End, Hear, ResponseReader},
    server_url::ServerUrl,
    target::{Target, Timeouts},
    trust::Trust,
};
use crate::dataset::Prompt;

/// What the connections of a pass cost; none of it lies inside a latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

/// One prompt after another on a persistent connection. It works in any tokio runtime, and can be moved between threads.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tachometer::{client::Client, dataset::Prompt};
///
/// let mut client = Client::connect("http://127.0.0.1:8000", "my-model").await?;
/// let record = client.send_with(&Prompt::new("Name three rivers.", 64), |event| print!("{}", event.text)).await;
/// record.outcome.clone()?;
/// println!("\nfirst token after {:?} s", record.ttft_s());
/// # Ok(())
/// # }
/// ```
pub struct Client {
    target: Arc<Target>,
    writer: Arc<RequestWriter>,
    number: usize,
    connection: Option<Connection>,
    request: Vec<u8>,
    reader: ResponseReader,
    stats: ConnectionStats,
    thread: PerThread,
    /// Prompts sent by [`Client::send`].
    sent: usize,
}

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
    /// A client of a server and one of its models, connected: OpenAI's chat completions, streamed, with the usual time limits.
    /// [`Client::with`] takes everything else.
    ///
    /// # Errors
    /// Where the URL is none, or the server can't be reached.
    pub async fn connect(url: &str, model: &str) -> Result<Self, Failure> {
        let sampling = Sampling { stream: true, ignore_eos: false, ..Sampling::default() };
        Self::with(url, model, sampling, &Headers::default(), Timeouts::default(), &Trust::default()).await
    }

    /// A client with what is asked beside the prompts, the key and other headers, time limits, and whose certificates are
    /// believed.
    ///
    /// # Errors
    /// Where the URL is none, or the server can't be reached.
    pub async fn with(
        url: &str,
        model: &str,
        sampling: Sampling,
        headers: &Headers,
        timeouts: Timeouts,
        trust: &Trust,
    ) -> Result<Self, Failure> {
        let refused = |why: String| Failure::new(FailureClass::Connect, why);
        // What was given may hold a password.
        let url = ServerUrl::parse(url).map_err(|why| refused(format!("this is no server URL: {why}")))?;
        let writer = RequestWriter::new(&url, model, &sampling, headers);
        let target = Target::new(url, timeouts, trust).map_err(refused)?;
        let mut client = Self::new(Arc::new(target), Arc::new(writer), 0, PerThread::default());
        client.open().await?;
        Ok(client)
    }

    /// Sends a prompt and waits for the whole answer.
    pub async fn send(&mut self, prompt: &Prompt) -> Record {
        self.send_with(prompt, |_| ()).await
    }

    /// Sends a prompt, and hears of each event of the answer while the rest is still coming: what is slow there delays the reads.
    /// Where the future is dropped before it is done, the next prompt goes out on a new connection.
    pub async fn send_with(&mut self, prompt: &Prompt, mut hear: impl FnMut(Arrived<'_>) + Send) -> Record {
        let index = self.sent;
        self.sent += 1;
        let requested = self.writer.sampling().requested_tokens(prompt);
        self.complete_with(index, prompt, requested, &format!("tachometer-{index}"), &mut hear).await
    }

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
            sent: 0,
        }
    }

    /// Opens the connection, if there is none that can be used.
    ///
    /// # Errors
    /// Where the server can't be reached.
    pub async fn open(&mut self) -> Result<(), Failure> {
        if self.can_use_connection().await {
            return Ok(());
        }
        let reopening = self.connection.take().is_some();
        let started_ns = now_ns();
        self.connection = Some(Connection::open(&self.target, &self.thread).await?);
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
        self.complete_with(index, prompt, requested_tokens, request_id, &mut |_| ()).await
    }

    async fn complete_with(
        &mut self,
        index: usize,
        prompt: &Prompt,
        requested_tokens: u32,
        request_id: &str,
        hear: Hear<'_>,
    ) -> Record {
        let mut record = Record::new(index, prompt.prompt_tokens, requested_tokens);
        // Room for every token, so that none of them allocates.
        record.gaps.reserve_exact(requested_tokens.min(1 << 16) as usize);
        self.writer.write(prompt, self.number, request_id, &mut self.request);
        self.thread.begin_request();
        for attempt in 0.. {
            if let Err(failure) = self.open().await {
                record.end_ns = now_ns();
                record.outcome = Err(failure);
                break;
            }
            // It comes back when the exchange has ended: who gives this up before leaves no half-read answer to the next prompt.
            let Some(mut connection) = self.connection.take() else { unreachable!("it was opened") };
            let idle = (connection.requests() > 0).then(|| connection.idle());
            self.reader.reset();
            let asked = Asked {
                request: &self.request,
                asks_usage: self.writer.asks_usage(),
                target: &self.target,
                thread: &self.thread,
            };
            let mut end = exchange(&mut connection, asked, &mut self.reader, &mut record, hear).await;
            connection.begin_idle();
            if !matches!(end, End::Complete) {
                connection.close();
            }
            let opened_in = connection.opened_in();
            self.connection = Some(connection);
            let dropped = !self.reader.has_head() && matches!(end, End::Closed | End::Broken(_));
            let waited = Duration::from_nanos(now_ns().saturating_sub(record.sent_ns.unwrap_or_default()));
            if attempt == 0
                && dropped
                && let Some(idle) = idle
                && is_stale(idle, waited, opened_in)
            {
                if self.thread.may_resend() {
                    self.stats.resent += 1;
                    continue;
                }
                let message = "the server closed an idle connection instead of answering, and 1 % of the requests have already been \
                               resent for that reason";
                end = End::Refused(Failure::new(FailureClass::Reset, message));
            }
            self.reader.conclude(end, now_ns(), &mut record, hear);
            record.outcome = record.outcome.map_err(|f| Failure::new(f.class, self.writer.redact(f.message)));
            break;
        }
        record.gaps.shrink_to_fit();
        record
    }
}

/// Whether a request on a connection that was idle for so long, and was closed so soon after the send without a byte of an
/// answer, never reached the server: its close then arrives about a round trip after the send. One that comes later, or on a
/// connection that was in use just before, ends a request that the server may have worked on.
fn is_stale(idle: Duration, waited: Duration, opened_in: Duration) -> bool {
    idle >= STALE_AFTER && waited < STALE_WITHIN + opened_in.min(AT_ONCE)
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
