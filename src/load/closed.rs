//! Closed loop: clients that drain one queue of prompts in order.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use super::pass::{Pass, Shared, ThreadResult};
use crate::client::{Client, ConnectionStats, Record};

/// Runs a thread's clients until the queue is empty.
pub(super) async fn drain_all(clients: Vec<Client>, shared: &Shared<'_>) -> ThreadResult {
    let mut result = ThreadResult::default();
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn_local(drain(client, shared.pass.clone(), shared.queue.clone()));
    }
    for (records, connections) in running.join_all().await {
        result.records.extend(records);
        result.connections += connections;
    }
    result
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
