//! One client thread: its runtime, its clients, and the driver of the load's shape.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::{runtime::Runtime, task::LocalSet};

use super::{
    Schedule, closed,
    open::{self, Due},
    pass::Pass,
    shared::{Shared, ThreadResult},
};
use crate::client::{Client, Delays, Failure, FailureClass, PerThread, clock::thread_cpu_ns};

/// Turns of a runtime before it looks at its sockets again. In each, the set of clients runs up to 61 of its tasks, so that
/// tokio's default of 61 turns would be thousands of them.
const EVENT_INTERVAL: u32 = 1;
/// How often a thread looks how late its timers run.
const TICK: Duration = Duration::from_millis(10);

/// Connects a thread's clients, waits for the others, and sends what is theirs.
///
/// # Errors
/// Where they can't connect.
pub(super) fn run_thread(
    shared: &Shared,
    numbers: impl Iterator<Item = usize>,
    arrivals: Due,
) -> Result<ThreadResult, Failure> {
    let thread = PerThread::default();
    let connected = connect(shared.pass, numbers, &thread);
    if !matches!(connected, Ok(Some(_))) {
        shared.thread_failed();
    }
    // Every thread comes here, also one that failed: the others would wait for it for ever.
    let started = shared.started();
    let connected = connected?;
    // Another thread has the reason, or the pass was stopped.
    let (Some((runtime, clients)), Some(start_ns)) = (connected, started) else { return Ok(ThreadResult::default()) };
    let cpu_before_ns = thread_cpu_ns();
    let tasks = LocalSet::new();
    let run = tasks.run_until(async {
        let timers = Rc::new(RefCell::new(Delays::default()));
        let watch = tokio::task::spawn_local(watch_timers(timers.clone()));
        let mut result = match &shared.pass.schedule {
            Schedule::Closed { .. } => closed::drain_all(clients, shared).await,
            Schedule::Open { arrivals_ns, .. } => {
                let times = open::Times { arrivals_ns, start_ns };
                open::serve(clients, shared, &thread, arrivals, times).await
            }
        };
        watch.abort();
        result.timers = timers.take();
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
    let mut clients: Vec<Client> = numbers.map(|n| pass.new_client(n, thread)).collect();
    let connect = async {
        for client in &mut clients {
            client.open().await?;
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

/// Records how late the runtime's timers run, until it is aborted. They tick in milliseconds: up to one is their own.
async fn watch_timers(late: Rc<RefCell<Delays>>) {
    let mut due = tokio::time::Instant::now();
    loop {
        due += TICK;
        tokio::time::sleep_until(due).await;
        late.borrow_mut().record(due.elapsed().as_nanos() as u64);
    }
}
