//! Open loop: each request at its time, whatever has become of the others.
//!
//! A thread of its own sleeps until each arrival, by the machine's clock, since the runtime's timers only tick in
//! milliseconds; it hands the request to a client thread, where it goes out on an idle connection.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::Poll,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    Arrival, RequestRate, arrivals_ns,
    conversation::{Ended, converse},
    pass::Pass,
    shape::{Kind, Pacing, Schedule, Shape},
    shared::{Shared, ThreadResult, rethrow},
};
use crate::{
    client::{Client, PerThread, Record, clock::now_ns},
    dataset::Sequence,
};

/// Each prompt at its time, whatever has become of the others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "open")]
pub struct Open {
    /// Requests per second.
    pub request_rate: RequestRate,
    /// How the gaps between them are distributed.
    pub arrival: Arrival,
    /// Shape of gamma-distributed gaps.
    pub burstiness: f64,
    /// A request that would be one more than this in flight waits.
    pub max_in_flight: Option<usize>,
}

pub(super) const KIND: Kind = Kind {
    name: "open",
    spelling: "rRATE for an open loop of RATE requests per second",
    parse: |text, pacing| {
        let request_rate = text.strip_prefix('r')?.parse();
        Some(request_rate.map(|request_rate| -> Arc<dyn Shape> {
            let Pacing { arrival, burstiness, max_in_flight, .. } = *pacing;
            Arc::new(Open { request_rate, arrival, burstiness, max_in_flight })
        }))
    },
    read: |value| Ok(Arc::new(Open::deserialize(value)?)),
};

/// Connections that an open loop opens before its start, at least and at most.
pub(super) const CONNECTIONS: (usize, usize) = (64, 1024);

impl Shape for Open {
    fn name(&self) -> String {
        format!("r{}", self.request_rate)
    }

    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn schedule(&self, begun: usize, _prompts: &Sequence, seed: u64) -> Schedule {
        Schedule::Open {
            arrivals_ns: arrivals_ns(self.request_rate, self.arrival, self.burstiness, begun, seed).into(),
            connections: self.connections(begun),
            max_in_flight: self.max_in_flight,
        }
    }

    /// Those of a second's arrivals.
    fn connections(&self, prompts: usize) -> usize {
        let (least, most) = CONNECTIONS;
        let second = self.request_rate.0.clamp(least as f64, most as f64) as usize;
        second.min(prompts).min(self.max_in_flight.unwrap_or(usize::MAX)).max(1)
    }

    fn tiny(&self) -> Arc<dyn Shape> {
        Arc::new(Self { request_rate: RequestRate(1000.0), ..*self })
    }

    fn lasts_s(&self, prompts: usize) -> f64 {
        prompts.saturating_sub(1) as f64 / self.request_rate.0
    }

    /// Those whose mean arrival lies before the end.
    fn requests_in(&self, seconds: f64) -> Option<usize> {
        Some((seconds * self.request_rate.0).ceil().max(1.0) as usize)
    }

    fn request_rate(&self) -> Option<RequestRate> {
        Some(self.request_rate)
    }

    fn max_in_flight(&self) -> Option<usize> {
        self.max_in_flight
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "open loop at {} requests/s", self.request_rate)?;
        match self.arrival {
            Arrival::Constant => f.write_str(", constant")?,
            Arrival::Poisson => f.write_str(", Poisson")?,
            Arrival::Gamma => write!(f, ", gamma of shape {}", self.burstiness)?,
        }
        match self.max_in_flight {
            Some(most) => write!(f, ", at most {most} in flight"),
            None => Ok(()),
        }
    }
}

/// Where a thread hears of the requests that are due.
pub(super) type Due = mpsc::UnboundedReceiver<usize>;

/// When they are due.
pub(super) struct Times<'a> {
    /// In nanoseconds from the start.
    pub arrivals_ns: &'a [u64],
    /// The start, in nanoseconds of the monotonic clock.
    pub start_ns: u64,
}

/// A channel to each thread.
pub(super) fn channels(threads: usize) -> (Vec<mpsc::UnboundedSender<usize>>, Vec<Due>) {
    (0..threads).map(|_| mpsc::unbounded_channel()).unzip()
}

/// How often the one who waits for an arrival looks whether the pass is stopped.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Tells each thread of its requests when they are due: its request i goes to thread i mod threads. None is left out, however
/// late this runs.
pub(super) fn dispatch(pass: &Pass, threads: Vec<mpsc::UnboundedSender<usize>>, start_ns: u64) {
    let Schedule::Open { arrivals_ns, .. } = &pass.schedule else { return };
    let own = (0..pass.share.count(arrivals_ns.len())).map(|i| pass.share.position(i));
    for (number, index) in own.enumerate() {
        let arrival_ns = arrivals_ns[index];
        let due_ns = start_ns + arrival_ns;
        loop {
            if pass.stop.reason().is_some() {
                return;
            }
            let now = now_ns();
            if now >= due_ns {
                break;
            }
            thread::sleep(Duration::from_nanos(due_ns - now).min(LONGEST_SLEEP));
        }
        // A thread that is gone has panicked, and its panic ends the pass.
        _ = threads[number % threads.len()].send(index);
    }
}

/// Sends a thread's requests as they come due, and waits for the last of them.
pub(super) async fn serve(
    clients: Vec<Client>,
    shared: &Shared<'_>,
    thread: &PerThread,
    mut due: Due,
    times: Times<'_>,
) -> ThreadResult {
    let opened_before = clients.len();
    let pool = Rc::new(Pool {
        idle: RefCell::new(clients),
        pass: shared.pass.clone(),
        thread: thread.clone(),
        in_flight: shared.in_flight.clone(),
        ends_ns: shared.ends_ns(),
        records: RefCell::default(),
        begun: RefCell::default(),
        not_sent: Cell::default(),
    });
    let mut result = ThreadResult::default();
    let mut running = JoinSet::new();
    while let Some(number) = due.recv().await {
        if shared.pass.stop.reason().is_some() {
            break;
        }
        let mut conversation = Box::pin(pool.clone().send(number, times.start_ns + times.arrivals_ns[number]));
        // It goes out at once, and not behind all those that have something to read.
        if poll_fn(|context| Poll::Ready(conversation.as_mut().poll(context))).await.is_pending() {
            running.spawn_local(conversation);
        }
        while let Some(ended) = running.try_join_next() {
            rethrow(ended);
        }
    }
    // The last of them are in flight.
    let rest = async {
        while let Some(ended) = running.join_next().await {
            rethrow(ended);
        }
    };
    tokio::select! {
        biased;
        () = rest => {}
        () = shared.pass.stop.stopped() => {}
    }
    // Only a pass that is stopped has some left.
    running.abort_all();
    while let Some(ended) = running.join_next().await {
        rethrow(ended);
    }
    (result.records, result.begun) = (pool.records.take(), pool.begun.take());
    result.not_sent = pool.not_sent.get();
    let clients = pool.idle.take();
    // More than were opened before the start were opened for want of an idle one.
    result.connections.reopened = clients.len().saturating_sub(opened_before) as u32;
    for client in &clients {
        result.connections += client.connection_stats();
    }
    // One is enough to see whether the server closes connections after an answer.
    if let Some(mut client) = clients.into_iter().next() {
        client.settle().await;
    }
    result
}

/// The clients of a thread.
struct Pool {
    idle: RefCell<Vec<Client>>,
    pass: Pass,
    thread: PerThread,
    in_flight: Option<Arc<Semaphore>>,
    /// When the pass is over, where a time was set.
    ends_ns: Option<u64>,
    records: RefCell<Vec<Record>>,
    begun: RefCell<Vec<usize>>,
    not_sent: Cell<usize>,
}

impl Pool {
    async fn send(self: Rc<Self>, number: usize, due_ns: u64) {
        let not_sent = converse(&self.pass, number, Some(due_ns), self.ends_ns, async |index, prompt, due_ns| {
            // In the order of arrival; the wait counts from the intended send.
            let permit = match &self.in_flight {
                Some(in_flight) => in_flight.clone().acquire_owned().await.ok(),
                None => None,
            };
            self.begun.borrow_mut().push(index);
            let idle = self.idle.borrow_mut().pop();
            let mut client = idle.unwrap_or_else(|| self.pass.new_client(index, &self.thread));
            let request_id = format!("{}-{index}", self.pass.request_id_prefix);
            let mut record = self.pass.complete(&mut client, index, prompt, &request_id).await;
            record.intended_ns = due_ns;
            let ended = Ended::of(&record, &client, &self.pass);
            self.records.borrow_mut().push(record);
            self.idle.borrow_mut().push(client);
            drop(permit);
            ended
        });
        let not_sent = not_sent.await;
        self.not_sent.set(self.not_sent.get() + not_sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::Prompt,
        load::{Share, StopReason, samples::pass},
    };

    #[test]
    fn what_an_open_loop_says_of_itself() {
        let open = |rate: f64, max_in_flight| Open {
            request_rate: RequestRate(rate),
            arrival: Arrival::Poisson,
            burstiness: 1.0,
            max_in_flight,
        };
        // As many connections as requests arrive in a second, within bounds.
        let connections = |rate, prompts, most| open(rate, most).connections(prompts);
        assert_eq!(
            [2.0, 100.0, 5000.0, f64::INFINITY].map(|rate| connections(rate, 2000, None)),
            [64, 100, 1024, 1024]
        );
        assert_eq!(
            [(9, None), (2000, Some(7)), (0, None)].map(|(prompts, most)| connections(100.0, prompts, most)),
            [9, 7, 1]
        );
        assert_eq!(
            [10.0, 0.25, 0.01].map(|seconds| open(10.0, None).requests_in(seconds)),
            [Some(100), Some(3), Some(1)]
        );
        assert_eq!((open(10.0, None).lasts_s(101), open(10.0, None).lasts_s(0)), (10.0, 0.0));
        assert_eq!((open(1.0, Some(3)).max_in_flight(), open(1.0, None).max_in_flight()), (Some(3), None));
        let tiny = open(0.1, Some(3)).tiny();
        assert_eq!(
            (tiny.request_rate(), tiny.max_in_flight(), tiny.concurrency()),
            (Some(RequestRate(1000.0)), Some(3), None)
        );
    }

    #[test]
    fn arrivals_go_to_threads_in_turn_and_never_before_their_time() {
        let arrivals_ns = [0, 0, 0, 0, 0, 0, 30_000_000];
        let schedule = Schedule::Open { arrivals_ns: arrivals_ns.into(), connections: 1, max_in_flight: None };
        let whole = Pass { schedule, ..pass(arrivals_ns.map(|_| Prompt::new("a", 1))) };
        let told = |pass: &Pass| {
            let (senders, receivers) = channels(2);
            let start_ns = now_ns();
            dispatch(pass, senders, start_ns);
            let told = receivers.into_iter().map(|mut due| std::iter::from_fn(|| due.try_recv().ok()).collect());
            (told.collect::<Vec<Vec<usize>>>(), now_ns() - start_ns)
        };
        let (of_whole, took_ns) = told(&whole);
        assert_eq!(of_whole, [vec![0, 2, 4, 6], vec![1, 3, 5]]);
        assert!(took_ns >= 30_000_000, "{took_ns}");
        assert_eq!(told(&Pass { share: Share { rank: 1, of: 2 }, ..whole.clone() }).0, [vec![1, 5], vec![3]]);
        whole.stop.stop(StopReason::Error);
        assert!(told(&whole).0.iter().all(Vec::is_empty));
    }

    #[test]
    fn each_thread_has_a_channel() {
        let (senders, receivers) = channels(3);
        for (place, (sender, mut receiver)) in senders.into_iter().zip(receivers).enumerate() {
            sender.send(place).unwrap();
            assert_eq!(receiver.try_recv(), Ok(place));
        }
        assert_eq!(channels(3).0.len(), 3);
    }
}
