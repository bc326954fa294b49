//! One request and its response on an open connection.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::{
    clock::now_ns,
    connection::Connection,
    habits::Habits,
    http1::{self, Framing},
    per_thread::PerThread,
    record::Record,
    response::{End, Hear, Limit, Missing, ResponseReader},
    target::{Target, Timeouts},
};

/// How long the end of a body is waited for when the answer is whole.
const END_WAIT: Duration = Duration::from_millis(50);
/// How long after the last finish reason the usage that was asked for is waited for.
const USAGE_WAIT: Duration = Duration::from_secs(1);
/// For no longer than this anything is read that comes after a whole answer.
const MOST_TAIL: Duration = Duration::from_secs(1);

/// What is sent, and to whom.
pub(super) struct Asked<'a> {
    pub request: &'a [u8],
    /// Whether a stream is to end with token counts.
    pub asks_usage: bool,
    pub target: &'a Target,
    pub thread: &'a PerThread,
}

/// Sends a request on an open connection, and reads what comes until the answer is whole, or fails.
pub(super) async fn exchange(
    connection: &mut Connection,
    asked: Asked<'_>,
    reader: &mut ResponseReader,
    record: &mut Record,
    hear: Hear<'_>,
) -> End {
    let Asked { request, asks_usage, target, thread } = asked;
    let timeouts = target.timeouts;
    let send = thread.send(connection.send(request, &mut record.sent_ns));
    match tokio::time::timeout(timeouts.total, send).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return End::Broken(e),
        Err(_) => return End::TimedOut(Limit::Total, timeouts.total),
    }
    let limits = Limits { timeouts, streaming: reader.is_streaming() };
    let mut timer = pin!(tokio::time::sleep(limits.next(record, None, now_ns()).1));
    let mut waits_for_token = true;
    let mut tail = Tail::default();
    let mut framing = match read_head(connection, reader, record, &limits, timer.as_mut()).await {
        Ok(framing) => framing,
        Err(end) => return end,
    };
    loop {
        let at_ns = connection.read_at_ns();
        let used = framing.decode(connection.unread(), |payload| reader.take_payload(payload, at_ns, record, hear));
        match used {
            Ok(used) => connection.consume(used),
            Err(failure) => return End::Malformed(failure),
        }
        if let Some(failure) = reader.take_failure() {
            return End::Malformed(failure);
        }
        if reader.has_usage() {
            target.habits.note_usage_left_out(false);
        }
        if framing.is_done() {
            target.habits.note_left_open(false);
            tail.note(record);
            return End::Complete;
        }
        if waits_for_token && record.first_token_ns.is_some() {
            waits_for_token = false;
            limits.rearm(timer.as_mut(), record, reader);
        }
        // What keeps coming keeps the timer from being looked at.
        if limits.are_over(record, connection.read_at_ns()) {
            return End::TimedOut(Limit::Total, timeouts.total);
        }
        let read = match reader.missing(asks_usage) {
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
            missing => match tail.read(connection, missing, target).await {
                Some(read) => read,
                None => {
                    if missing == Missing::Usage {
                        target.habits.note_usage_left_out(true);
                    }
                    target.habits.note_left_open(true);
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
                    target.habits.note_left_open(false);
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
        let Some(patience) = patience(missing, &target.habits) else {
            let mut read = pin!(connection.read());
            return poll_fn(|context| match read.as_mut().poll(context) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => Poll::Ready(None),
            })
            .await;
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

/// How long to wait for what is missing; `None` for no more than what is there already.
fn patience(missing: Missing, habits: &Habits) -> Option<Duration> {
    match missing {
        Missing::Usage if habits.sends_usage() => Some(USAGE_WAIT),
        _ if habits.ends_bodies() => Some(END_WAIT),
        _ => None,
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
    /// The limit that runs out next, and the time left to it now.
    fn next(&self, record: &Record, last_event_ns: Option<u64>, now: u64) -> (Limit, Duration) {
        let Timeouts { first_token, stall, total, .. } = self.timeouts;
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

    /// Whether a response that is still being read at that time takes too long in all.
    fn are_over(&self, record: &Record, read_at_ns: u64) -> bool {
        Duration::from_nanos(read_at_ns.saturating_sub(record.sent_ns.unwrap_or(u64::MAX))) > self.timeouts.total
    }

    fn rearm(&self, timer: Pin<&mut Sleep>, record: &Record, reader: &ResponseReader) {
        timer.reset(Instant::now() + self.next(record, reader.last_event_ns(), now_ns()).1);
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
                let (limit, left) = limits.next(record, reader.last_event_ns(), now_ns());
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
    use crate::client::api::Api;

    const S: u64 = 1_000_000_000;

    fn limits(streaming: bool) -> Limits {
        let [first_token, stall, total] = [200, 50, 1000].map(Duration::from_secs);
        Limits { timeouts: Timeouts { first_token, stall, total, ..Timeouts::default() }, streaming }
    }

    #[test]
    fn a_response_that_keeps_coming_is_over_at_the_total_limit() {
        let (mut record, limits) = (Record::new(0, 1, 1), limits(true));
        assert!(!limits.are_over(&record, 5000 * S));
        record.sent_ns = Some(7 * S);
        for (read_at_ns, over) in
            [(0, false), (7 * S, false), (1007 * S, false), (1007 * S + 1, true), (2000 * S, true)]
        {
            assert_eq!(limits.are_over(&record, read_at_ns), over, "{read_at_ns}");
        }
    }

    #[test]
    fn the_limit_that_runs_out_next() {
        let next = |streaming, record: &Record, last_event_s: Option<u64>, now_s: u64| {
            let (limit, left) = limits(streaming).next(record, last_event_s.map(|at| at * S), now_s * S);
            (limit, left.as_secs())
        };
        let mut record = Record::new(0, 1, 1);
        // Before it is sent, no time passes.
        assert_eq!(next(true, &record, None, 40), (Limit::FirstToken, 200));
        record.sent_ns = Some(10 * S);
        assert_eq!(next(true, &record, None, 40), (Limit::FirstToken, 170));
        assert_eq!(next(true, &record, None, 500), (Limit::FirstToken, 0));
        assert_eq!(next(false, &record, None, 40), (Limit::Total, 970));
        record.first_token_ns = Some(30 * S);
        assert_eq!(next(true, &record, Some(35), 40), (Limit::Stall, 45));
        assert_eq!(next(true, &record, Some(980), 990), (Limit::Total, 20));
        // Where both run out at once, it is the total.
        assert_eq!(next(true, &record, Some(960), 1000), (Limit::Total, 10));
        assert_eq!(next(false, &record, Some(35), 40), (Limit::Total, 970));
        for (limit, seconds) in [(Limit::FirstToken, 200), (Limit::Stall, 50), (Limit::Total, 1000)] {
            assert_eq!(limits(true).of(limit).as_secs(), seconds);
        }
    }

    #[test]
    fn what_is_usually_left_out_is_not_waited_for() {
        let habits = Habits::default();
        let patience = |missing| patience(missing, &habits);
        assert_eq!([Missing::Usage, Missing::End].map(patience), [Some(USAGE_WAIT), Some(END_WAIT)]);
        (0..3).for_each(|_| habits.note_usage_left_out(true));
        assert_eq!([Missing::Usage, Missing::End].map(patience), [Some(END_WAIT); 2]);
        (0..3).for_each(|_| habits.note_left_open(true));
        assert_eq!([Missing::Usage, Missing::End].map(patience), [None; 2]);
        habits.note_usage_left_out(false);
        assert_eq!([Missing::Usage, Missing::End].map(patience), [Some(USAGE_WAIT), None]);
    }

    #[test]
    fn what_follows_an_answer_is_timed_from_its_last_end() {
        let (mut tail, mut record) =
            (Tail { since: Some(Instant::now() - Duration::from_secs(3)) }, Record::new(0, 1, 1));
        tail.note(&mut record);
        assert!(record.end_wait_ns >= 3 * S);
        tail.reset();
        tail.note(&mut record);
        assert_eq!(record.end_wait_ns, 0);
    }

    #[test]
    fn the_timer_is_set_to_the_limit_that_runs_out_next() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut timer, before) = (pin!(tokio::time::sleep(Duration::ZERO)), Instant::now());
            limits(true).rearm(timer.as_mut(), &Record::new(0, 1, 1), &ResponseReader::new(Api::default(), true));
            assert!(timer.deadline() >= before + Duration::from_secs(200));
        });
    }
}
