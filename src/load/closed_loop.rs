use std::{
    fmt::Write,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread::ScopedJoinHandle,
};

use tokio::{
    runtime::Runtime,
    task::{JoinSet, LocalSet},
};

use super::Progress;
use crate::{
    client::{
        Client, ConnectionStats, Failure, FailureClass, Record, RequestWriter, Sampling, Target, clock::thread_cpu_ns,
    },
    dataset::Prompt,
    metrics::ClientUse,
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
    /// How many clients send at once.
    pub concurrency: usize,
    /// On how many threads they run.
    pub threads: usize,
    /// What the request ids begin with; the position in the workload follows.
    pub request_id_prefix: Arc<str>,
    /// Where ended requests are counted.
    pub progress: Arc<Progress>,
}

/// What a pass gave.
pub struct PassRecords {
    /// One for each prompt, in sending order.
    pub records: Vec<Record>,
    /// What all connections together cost.
    pub connections: ConnectionStats,
    /// What the client's threads used between the first send and the last end.
    pub client: ClientUse,
}

/// Runs one pass in a closed loop. All connections are opened before the first request is sent.
///
/// # Errors
/// Where the connections can't be opened, or the system gives no thread: nothing has been sent then.
pub fn run_closed_loop(pass: &Pass) -> Result<PassRecords, Failure> {
    // More clients than prompts would only hold idle connections.
    let concurrency = pass.concurrency.min(pass.prompts.len()).max(1);
    let threads = pass.threads.clamp(1, concurrency);
    let queue = Arc::new(AtomicUsize::new(0));
    let ready = Barrier::new(threads);
    let failed = AtomicUsize::new(0);
    // Client i runs on thread i mod threads.
    let run = |thread: usize| run_thread(pass, (thread..concurrency).step_by(threads), &queue, &ready, &failed);
    let results: Vec<Result<ThreadResult, Failure>> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        let mut results = vec![run(0)];
        let join = |thread: ScopedJoinHandle<_>| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        results.extend(spawned.into_iter().map(join));
        results
    });

    let mut records = Vec::with_capacity(pass.prompts.len());
    let mut connections = ConnectionStats::default();
    let mut cpu_ns = Some(0);
    for result in results {
        let result = result?;
        records.extend(result.records);
        connections += result.connections;
        cpu_ns = cpu_ns.zip(result.cpu_ns).map(|(a, b)| a + b);
    }
    records.sort_unstable_by_key(|record: &Record| record.index);
    let client = ClientUse { cpu_s: cpu_ns.map(|ns| ns as f64 * 1e-9), threads, bound: None };
    Ok(PassRecords { records, connections, client })
}

#[derive(Default)]
struct ThreadResult {
    records: Vec<Record>,
    connections: ConnectionStats,
    cpu_ns: Option<u64>,
}

fn run_thread(
    pass: &Pass,
    numbers: impl Iterator<Item = usize>,
    queue: &Arc<AtomicUsize>,
    ready: &Barrier,
    failed: &AtomicUsize,
) -> Result<ThreadResult, Failure> {
    let connected = connect(pass, numbers);
    failed.fetch_add(usize::from(connected.is_err()), Ordering::SeqCst);
    // Every thread comes here, also one that failed: the others would wait for it for ever.
    ready.wait();
    let (runtime, clients) = connected?;
    // Another thread has the reason.
    if failed.load(Ordering::SeqCst) > 0 {
        return Ok(ThreadResult::default());
    }
    let cpu_before_ns = thread_cpu_ns();
    let mut result = ThreadResult::default();
    let tasks = LocalSet::new();
    let drained = tasks.run_until(async {
        let mut running = JoinSet::new();
        for client in clients {
            running.spawn_local(drain(client, pass.clone(), queue.clone()));
        }
        running.join_all().await
    });
    for (records, connections) in runtime.block_on(drained) {
        result.records.extend(records);
        result.connections += connections;
    }
    result.cpu_ns = thread_cpu_ns().zip(cpu_before_ns).map(|(after, before)| after - before);
    Ok(result)
}

/// The thread's runtime and its clients, each with an open connection.
fn connect(pass: &Pass, numbers: impl Iterator<Item = usize>) -> Result<(Runtime, Vec<Client>), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(FailureClass::Connect, format!("cannot set up a client thread: {e}")))?;
    let new = |n| Client::new(pass.target.clone(), pass.writer.clone(), pass.sampling.stream, n);
    let mut clients: Vec<Client> = numbers.map(new).collect();
    runtime.block_on(async {
        for client in &mut clients {
            client.connect().await?;
        }
        Ok(())
    })?;
    Ok((runtime, clients))
}

/// One client's work: the next prompt of the queue until there is none.
async fn drain(mut client: Client, pass: Pass, queue: Arc<AtomicUsize>) -> (Vec<Record>, ConnectionStats) {
    let mut records = Vec::new();
    let mut request_id = String::new();
    loop {
        let index = queue.fetch_add(1, Ordering::Relaxed);
        let Some(prompt) = pass.prompts.get(index) else { break };
        request_id.clear();
        // Writing to a String can't fail.
        _ = write!(request_id, "{}-{index}", pass.request_id_prefix);
        let record = client.complete(index, prompt, pass.sampling.requested_tokens(prompt), &request_id).await;
        pass.progress.ended(&record);
        records.push(record);
    }
    client.settle().await;
    (records, client.connection_stats())
}
