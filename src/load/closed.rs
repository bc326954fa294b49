//! Closed loop: clients that drain one queue of prompts in order.

use std::{
    cell::RefCell,
    fmt::Write,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::{AbortHandle, JoinSet};

use super::{
    pass::Pass,
    shared::{Shared, ThreadResult, rethrow},
};
use crate::client::{Client, ConnectionStats, Record};

/// What the clients of a thread have so far; it stays when they are stopped.
#[derive(Default)]
struct Kept {
    records: RefCell<Vec<Record>>,
    begun: RefCell<Vec<usize>>,
    /// Of each client.
    connections: RefCell<Vec<ConnectionStats>>,
}

/// Runs a thread's clients until the queue is empty, or the pass is stopped.
pub(super) async fn drain_all(clients: Vec<Client>, shared: &Shared<'_>) -> ThreadResult {
    let kept = Rc::new(Kept::default());
    kept.connections.borrow_mut().resize(clients.len(), ConnectionStats::default());
    let mut running = JoinSet::new();
    let spawn = |(slot, client)| {
        running.spawn_local(drain(client, slot, shared.pass.clone(), shared.queue.clone(), kept.clone()))
    };
    let handles: Vec<AbortHandle> = clients.into_iter().enumerate().map(spawn).collect();
    let stop = shared.pass.stop.clone();
    let stopper = tokio::task::spawn_local(async move {
        stop.stopped().await;
        handles.iter().for_each(AbortHandle::abort);
    });
    while let Some(ended) = running.join_next().await {
        rethrow(ended);
    }
    stopper.abort();
    let mut result = ThreadResult { records: kept.records.take(), begun: kept.begun.take(), ..ThreadResult::default() };
    for connections in kept.connections.take() {
        result.connections += connections;
    }
    result
}

/// One client's work: the next prompt of the queue until there is none.
async fn drain(mut client: Client, slot: usize, pass: Pass, queue: Arc<AtomicUsize>, kept: Rc<Kept>) {
    let mut request_id = String::new();
    while pass.stop.reason().is_none() {
        let index = queue.fetch_add(1, Ordering::Relaxed);
        if index >= pass.prompts.len() {
            break;
        }
        kept.begun.borrow_mut().push(index);
        request_id.clear();
        // Writing to a String can't fail.
        _ = write!(request_id, "{}-{index}", pass.request_id_prefix);
        let record = pass.complete(&mut client, index, &request_id).await;
        kept.connections.borrow_mut()[slot] = client.connection_stats();
        kept.records.borrow_mut().push(record);
    }
    client.settle().await;
    kept.connections.borrow_mut()[slot] = client.connection_stats();
}
