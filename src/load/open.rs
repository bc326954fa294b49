//! Open loop: each request at its time, whatever has become of the others.
//!
//! A thread of its own sleeps until each arrival, by the machine's clock, since the runtime's timers only tick in
//! milliseconds; it hands the request to a client thread, where it goes out on an idle connection.

use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc, task::Poll, thread, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    Schedule,
    pass::Pass,
    shared::{Shared, ThreadResult, rethrow},
};
use crate::client::{Client, PerThread, Record, clock::now_ns};

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

/// Tells each thread of its requests when they are due: request i goes to thread i mod threads. None is left out, however
/// late this runs.
pub(super) fn dispatch(pass: &Pass, threads: Vec<mpsc::UnboundedSender<usize>>, start_ns: u64) {
    let Schedule::Open { arrivals_ns, .. } = &pass.schedule else { return };
    for (index, arrival_ns) in arrivals_ns.iter().enumerate() {
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
        _ = threads[index % threads.len()].send(index);
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
        begun: RefCell::default(),
    });
    let mut result = ThreadResult::default();
    let mut running = JoinSet::new();
    let mut keep = |ended: Result<Record, _>| result.records.extend(rethrow(ended));
    while let Some(index) = due.recv().await {
        if shared.pass.stop.reason().is_some() {
            break;
        }
        let mut request = Box::pin(pool.clone().send(index, times.start_ns + times.arrivals_ns[index]));
        // It goes out at once, and not behind all those that have something to read.
        match poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await {
            Poll::Ready(record) => keep(Ok(record)),
            Poll::Pending => _ = running.spawn_local(request),
        }
        while let Some(ended) = running.try_join_next() {
            keep(ended);
        }
    }
    // The last of them are in flight.
    let rest = async {
        while let Some(ended) = running.join_next().await {
            keep(ended);
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
        keep(ended);
    }
    result.begun = pool.begun.take();
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
    begun: RefCell<Vec<usize>>,
}

impl Pool {
    async fn send(self: Rc<Self>, index: usize, due_ns: u64) -> Record {
        // In the order of arrival; the wait counts from the intended send.
        let permit = match &self.in_flight {
            Some(in_flight) => in_flight.clone().acquire_owned().await.ok(),
            None => None,
        };
        self.begun.borrow_mut().push(index);
        let idle = self.idle.borrow_mut().pop();
        let mut client = idle.unwrap_or_else(|| self.pass.new_client(index, &self.thread));
        let request_id = format!("{}-{index}", self.pass.request_id_prefix);
        let mut record = self.pass.complete(&mut client, index, &request_id).await;
        record.intended_ns = Some(due_ns);
        self.idle.borrow_mut().push(client);
        drop(permit);
        record
    }
}
