//! One pass: threads, their clients, and what they gave.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::ScopedJoinHandle,
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{runtime::Runtime, sync::Semaphore, task::LocalSet};

use super::{
    Progress, Stop, StopReason, closed,
    open::{self, Arrivals},
};
use crate::{
    client::{
        Client, ConnectionStats, Failure, FailureClass, PerThread, ReadLateness, Record, RequestWriter, Sampling,
        Target,
        clock::{now_ns, thread_cpu_ns},
        histogram,
    },
    dataset::Prompt,
    metrics::{ClientUse, Late},
};

/// One pass to run; shared by all of its clients, and cheap to clone.
#[derive(Clone)]
pub struct Pass {
    /// The server.
    pub target: Arc<Target>,
    /// Writes the requests.
    pub writer: Arc<RequestWriter>,
    /// What is asked beside the prompts.
    pub sampling: Arc<Sampling>,
    /// In sending order.
    pub prompts: Arc<[Prompt]>,
    /// When they are sent.
    pub load: Load,
    /// On how many threads the clients run.
    pub threads: usize,
    /// What the request ids begin with; the position in the workload follows.
    pub request_id_prefix: Arc<str>,
    /// How often a request that failed is sent again, where that may help.
    pub retries: u32,
    /// More failed requests than this end the pass.
    pub max_failures: Option<usize>,
    /// Ends the pass early.
    pub stop: Stop,
    /// Where ended requests are counted.
    pub progress: Arc<Progress>,
}

/// When prompts are sent.
#[derive(Clone, Debug)]
pub enum Load {
    /// So many clients, each sending the next prompt as soon as its last one ended.
    Closed {
        /// How many.
        concurrency: usize,
    },
    /// Each at its time, whatever has become of the others.
    Open {
        /// For each prompt, in nanoseconds from the start of the pass.
        arrivals_ns: Arc<[u64]>,
        /// Connections to open before the start; more are opened when all of them are busy.
        connections: usize,
        /// A request that would be one more than this in flight waits for one of them to end.
        max_in_flight: Option<usize>,
    },
}

/// What a pass gave.
pub struct PassRecords {
    /// One for each prompt, in sending order; where the pass was stopped, for each that was begun.
    pub records: Vec<Record>,
    /// Why it ended early, if so.
    pub stopped: Option<StopReason>,
    /// What all connections together cost.
    pub connections: ConnectionStats,
    /// What the client's threads used between the first send and the last end.
    pub client: ClientUse,
}

/// What all threads of a pass share.
pub(super) struct Shared<'a> {
    pub pass: &'a Pass,
    /// The next prompt of a closed loop.
    pub queue: Arc<AtomicUsize>,
    /// Threads that are ready to send.
    ready: Barrier,
    /// Requests that may be in flight at once.
    pub in_flight: Option<Arc<Semaphore>>,
    failed: AtomicUsize,
    start_ns: OnceLock<u64>,
}

/// What one thread's clients gave.
#[derive(Default)]
pub(super) struct ThreadResult {
    pub records: Vec<Record>,
    /// The prompts that were begun, whatever became of them.
    pub begun: Vec<usize>,
    pub connections: ConnectionStats,
    cpu_ns: Option<u64>,
    reads: ReadLateness,
    timers: Option<Histogram<u64>>,
}

/// From the moment when all threads are ready to the first arrival of an open loop.
const LEAD: Duration = Duration::from_millis(5);
/// Turns of a runtime before it looks at its sockets again. In each, the set of clients runs up to 61 of its tasks, so that
/// tokio's default of 61 turns would be thousands of them.
const EVENT_INTERVAL: u32 = 1;
/// Before a request is sent again for the first time; then twice as long each time, up to 64 times.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How often a thread looks how late its timers run.
const TICK: Duration = Duration::from_millis(10);

/// Runs one pass. Connections are opened before the first request is sent.
///
/// # Errors
/// Where the connections can't be opened, or the system gives no thread: nothing has been sent then.
pub fn run_pass(pass: &Pass) -> Result<PassRecords, Failure> {
    // More clients than prompts would only hold idle connections.
    let most = pass.prompts.len().max(1);
    let connections = match pass.load {
        Load::Closed { concurrency } => concurrency.clamp(1, most),
        Load::Open { connections, .. } => connections.clamp(1, most),
    };
    let threads = pass.threads.clamp(1, connections);
    let is_open = matches!(pass.load, Load::Open { .. });
    let shared = Shared {
        pass,
        queue: Arc::new(AtomicUsize::new(0)),
        ready: Barrier::new(threads + usize::from(is_open)),
        in_flight: match pass.load {
            Load::Open { max_in_flight, .. } => max_in_flight.map(|most| Arc::new(Semaphore::new(most))),
            Load::Closed { .. } => None,
        },
        failed: AtomicUsize::new(0),
        start_ns: OnceLock::new(),
    };
    let (arrivals, mut receivers) = open::channels(threads);
    let mut receive = || receivers.pop().unwrap_or_else(|| unreachable!("one for each thread"));
    // Client i runs on thread i mod threads.
    let run = |thread: usize, arrivals: Arrivals| run_thread(&shared, (thread..connections).step_by(threads), arrivals);
    let run = &run;
    let results: Vec<Result<ThreadResult, Failure>> = std::thread::scope(|scope| {
        if is_open {
            let shared = &shared;
            scope.spawn(move || shared.started().map(|start_ns| open::dispatch(shared.pass, arrivals, start_ns)));
        }
        let mut spawned = Vec::new();
        for thread in 1..threads {
            let receiver = receive();
            spawned.push(scope.spawn(move || run(thread, receiver)));
        }
        let mut results = vec![run(0, receive())];
        let join = |thread: ScopedJoinHandle<_>| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        results.extend(spawned.into_iter().map(join));
        results
    });

    let mut total = ThreadResult { cpu_ns: Some(0), ..ThreadResult::default() };
    for result in results {
        let result = result?;
        total.records.extend(result.records);
        total.begun.extend(result.begun);
        total.connections += result.connections;
        total.cpu_ns = total.cpu_ns.zip(result.cpu_ns).map(|(a, b)| a + b);
        total.reads.add(&result.reads);
        match (&mut total.timers, result.timers) {
            // All have the same bounds.
            (Some(all), Some(one)) => _ = all.add(one),
            (all, one) => *all = all.take().or(one),
        }
    }
    // An interruption that finds all of them ended cuts nothing short.
    let is_whole = total.records.len() == pass.prompts.len();
    let stopped = pass.stop.reason().filter(|why| !(is_whole && *why == StopReason::Interrupted));
    if stopped.is_some() {
        add_cancelled(pass, &total.begun, &mut total.records);
    }
    total.records.sort_unstable_by_key(|record: &Record| record.index);
    let timers = total.timers.as_ref().filter(|timers| !timers.is_empty());
    let quantile_s = |quantile| timers.map(|timers| timers.value_at_quantile(quantile) as f64 * 1e-9);
    let client = ClientUse {
        cpu_s: total.cpu_ns.map(|ns| ns as f64 * 1e-9),
        threads,
        stamps: Some(total.reads.source()),
        read_late_s: Late::of(|quantile| total.reads.quantile_s(quantile)),
        timer_late_s: Late::of(quantile_s),
        bound: None,
    };
    Ok(PassRecords { records: total.records, stopped, connections: total.connections, client })
}

/// Records of the requests that were in flight when the pass was stopped.
fn add_cancelled(pass: &Pass, begun: &[usize], records: &mut Vec<Record>) {
    let mut ended = vec![false; pass.prompts.len()];
    for record in records.iter() {
        ended[record.index] = true;
    }
    for &index in begun.iter().filter(|&&index| !ended[index]) {
        let prompt = &pass.prompts[index];
        let mut record = Record::new(index, prompt.prompt_tokens, pass.sampling.requested_tokens(prompt));
        record.end_ns = now_ns();
        record.outcome = Err(Failure::new(FailureClass::Cancelled, "the pass was stopped while it was in flight"));
        records.push(record);
    }
}

impl Pass {
    /// Sends a prompt, again where that may help and is allowed, and counts its end. Time runs from the first send.
    pub(super) async fn complete(&self, client: &mut Client, index: usize, request_id: &str) -> Record {
        let prompt = &self.prompts[index];
        let requested = self.sampling.requested_tokens(prompt);
        let mut record = client.complete(index, prompt, requested, request_id).await;
        while record.retries < self.retries && record.outcome.as_ref().is_err_and(|failure| failure.class.may_pass()) {
            tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << record.retries.min(6))).await;
            let (sent_ns, retries) = (record.sent_ns, record.retries + 1);
            record = client.complete(index, prompt, requested, request_id).await;
            record.sent_ns = sent_ns.or(record.sent_ns);
            record.retries = retries;
        }
        let failed = self.progress.ended(&record);
        if self.max_failures.is_some_and(|most| failed > most) {
            self.stop.stop(StopReason::Failures);
        }
        record
    }
}

impl Shared<'_> {
    /// Waits until all threads are ready. The start of the pass, the same for all of them, in nanoseconds of the monotonic
    /// clock; `None` where one of them could not connect.
    fn started(&self) -> Option<u64> {
        self.ready.wait();
        let start_ns = *self.start_ns.get_or_init(|| now_ns() + LEAD.as_nanos() as u64);
        (self.failed.load(Ordering::SeqCst) == 0).then_some(start_ns)
    }
}

fn run_thread(
    shared: &Shared,
    numbers: impl Iterator<Item = usize>,
    arrivals: Arrivals,
) -> Result<ThreadResult, Failure> {
    let thread = PerThread::default();
    let connected = connect(shared.pass, numbers, &thread);
    shared.failed.fetch_add(usize::from(!matches!(connected, Ok(Some(_)))), Ordering::SeqCst);
    // Every thread comes here, also one that failed: the others would wait for it for ever.
    let started = shared.started();
    let connected = connected?;
    // Another thread has the reason, or the pass was stopped.
    let (Some((runtime, clients)), Some(start_ns)) = (connected, started) else { return Ok(ThreadResult::default()) };
    let cpu_before_ns = thread_cpu_ns();
    let tasks = LocalSet::new();
    let run = tasks.run_until(async {
        let timers = Rc::new(RefCell::new(histogram()));
        let watch = tokio::task::spawn_local(watch_timers(timers.clone()));
        let mut result = match &shared.pass.load {
            Load::Closed { .. } => closed::drain_all(clients, shared).await,
            Load::Open { arrivals_ns, .. } => {
                let times = open::Times { arrivals_ns, start_ns };
                open::serve(clients, shared, &thread, arrivals, times).await
            }
        };
        watch.abort();
        result.timers = Some(timers.replace(histogram()));
        result
    });
    let mut result = runtime.block_on(run);
    result.reads = thread.lateness.take();
    result.cpu_ns = thread_cpu_ns().zip(cpu_before_ns).map(|(after, before)| after - before);
    Ok(result)
}

/// The thread's runtime and its clients, each with an open connection; `None` where the pass is stopped before.
fn connect(
    pass: &Pass,
    numbers: impl Iterator<Item = usize>,
    thread: &PerThread,
) -> Result<Option<(Runtime, Vec<Client>)>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .map_err(|e| Failure::new(FailureClass::Connect, format!("cannot set up a client thread: {e}")))?;
    let mut clients: Vec<Client> = numbers.map(|n| new_client(pass, n, thread)).collect();
    let connect = async {
        for client in &mut clients {
            client.connect().await?;
        }
        Ok(())
    };
    match runtime.block_on(pass.stop.unless_stopped(connect)) {
        Some(connected) => connected.map(|()| Some((runtime, clients))),
        None => {
            // The system may still be looking for a name.
            runtime.shutdown_background();
            Ok(None)
        }
    }
}

pub(super) fn new_client(pass: &Pass, number: usize, thread: &PerThread) -> Client {
    Client::new(pass.target.clone(), pass.writer.clone(), pass.sampling.stream, number, thread.clone())
}

/// Records how late the runtime's timers run, until it is aborted. They tick in milliseconds: up to one is their own.
async fn watch_timers(late_ns: Rc<RefCell<Histogram<u64>>>) {
    let mut due = tokio::time::Instant::now();
    loop {
        due += TICK;
        tokio::time::sleep_until(due).await;
        late_ns.borrow_mut().saturating_record(due.elapsed().as_nanos() as u64);
    }
}
