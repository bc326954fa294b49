//! Closed loop: clients that drain one queue of prompts in order.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use super::{
    conversation::{Ended, converse},
    pass::Pass,
    shape::{Kind, Schedule, Shape},
    shared::{Shared, ThreadResult, rethrow},
};
use crate::{
    client::{Client, ConnectionStats, Record, clock::now_ns},
    dataset::Sequence,
};

/// So many clients, each sending the next prompt as soon as its last one ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "closed")]
pub(super) struct Closed {
    /// How many.
    pub concurrency: usize,
}

pub(super) const KIND: Kind = Kind {
    name: "closed",
    spelling: "cN for a closed loop of N clients",
    parse: |text, _| {
        Some(match text.strip_prefix('c')?.parse().ok()? {
            0 => Err("0 clients would send nothing: use 1 or more".to_owned()),
            concurrency => Ok(Arc::new(Closed { concurrency })),
        })
    },
    read: |value| Ok(Arc::new(Closed::deserialize(value)?)),
};

/// Requests that a small run sends at once, at most.
const TINY_CONCURRENCY: usize = 4;

impl Shape for Closed {
    fn name(&self) -> String {
        format!("c{}", self.concurrency)
    }

    fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn schedule(&self, _begun: usize, _prompts: &Sequence, _seed: u64) -> Schedule {
        Schedule::Closed { concurrency: self.concurrency }
    }

    fn connections(&self, _prompts: usize) -> usize {
        self.concurrency
    }

    fn tiny(&self) -> Arc<dyn Shape> {
        Arc::new(Self { concurrency: self.concurrency.min(TINY_CONCURRENCY) })
    }

    fn concurrency(&self) -> Option<usize> {
        Some(self.concurrency)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let clients = if self.concurrency == 1 { "client" } else { "clients" };
        write!(f, "closed loop with {} {clients}", self.concurrency)
    }
}

/// What the clients of a thread have so far; it stays when they are stopped.
#[derive(Default)]
struct Kept {
    records: RefCell<Vec<Record>>,
    begun: RefCell<Vec<usize>>,
    /// Turns of conversations that had ended before.
    not_sent: Cell<usize>,
    /// Of each client.
    connections: RefCell<Vec<ConnectionStats>>,
}

/// Runs a thread's clients until the queue is empty, the time is over, or the pass is stopped.
pub(super) async fn drain_all(clients: Vec<Client>, shared: &Shared<'_>) -> ThreadResult {
    let kept = Rc::new(Kept::default());
    kept.connections.borrow_mut().resize(clients.len(), ConnectionStats::default());
    let mut running = JoinSet::new();
    let queue = Queue {
        next: shared.queue.clone(),
        conversations: shared.pass.conversations(),
        ends_ns: shared.ends_ns().filter(|_| shared.pass.conversations().is_none()),
    };
    let spawn =
        |(slot, client)| running.spawn_local(drain(client, slot, shared.pass.clone(), queue.clone(), kept.clone()));
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
    let mut result = ThreadResult {
        records: kept.records.take(),
        begun: kept.begun.take(),
        not_sent: kept.not_sent.get(),
        ..ThreadResult::default()
    };
    for connections in kept.connections.take() {
        result.connections += connections;
    }
    result
}

/// What all clients draw conversations from.
#[derive(Clone)]
struct Queue {
    next: Arc<AtomicUsize>,
    /// How many there are; without an end where the pass goes on for a time.
    conversations: Option<usize>,
    /// In nanoseconds of the monotonic clock.
    ends_ns: Option<u64>,
}

impl Queue {
    fn next(&self, pass: &Pass) -> Option<usize> {
        if self.ends_ns.is_some_and(|ends_ns| now_ns() >= ends_ns) {
            return None;
        }
        let number = pass.share.position(self.next.fetch_add(1, Ordering::Relaxed));
        Some(number).filter(|number| self.conversations.is_none_or(|conversations| *number < conversations))
    }
}

/// One client's work: the next conversation of the queue until there is none.
async fn drain(mut client: Client, slot: usize, pass: Pass, queue: Queue, kept: Rc<Kept>) {
    let mut request_id = String::new();
    while pass.stop.reason().is_none() {
        let Some(number) = queue.next(&pass) else { break };
        let not_sent = converse(&pass, number, None, queue.ends_ns, async |index, prompt, _| {
            kept.begun.borrow_mut().push(index);
            request_id.clear();
            // Writing to a String can't fail.
            _ = write!(request_id, "{}-{index}", pass.request_id_prefix);
            let record = pass.complete(&mut client, index, prompt, &request_id).await;
            kept.connections.borrow_mut()[slot] = client.connection_stats();
            let ended = Ended::of(&record, &client, &pass);
            kept.records.borrow_mut().push(record);
            ended
        });
        let not_sent = not_sent.await;
        kept.not_sent.set(kept.not_sent.get() + not_sent);
    }
    client.settle().await;
    kept.connections.borrow_mut()[slot] = client.connection_stats();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::Prompt,
        load::{Share, samples::pass},
    };

    #[test]
    fn what_a_closed_loop_says_of_itself() {
        let closed = Closed { concurrency: 64 };
        assert_eq!((closed.connections(3), closed.concurrency(), closed.max_in_flight()), (64, Some(64), None));
        assert_eq!((closed.tiny().concurrency(), Closed { concurrency: 2 }.tiny().concurrency()), (Some(4), Some(2)));
        // What hangs on the server it does not prescribe.
        assert_eq!((closed.requests_in(60.0), closed.lasts_s(2000), closed.request_rate()), (None, 0.0, None));
        assert_eq!((closed.remark(&Vec::new().into()), closed.is_recorded()), (None, false));
    }

    #[test]
    fn conversations_are_drawn_in_order_until_there_are_none_or_the_time_is_over() {
        let whole = pass((0..5).map(|_| Prompt::new("a", 1)).collect::<Vec<_>>());
        let second_of_two = Pass { share: Share { rank: 1, of: 2 }, ..whole.clone() };
        let drawn = |pass: &Pass, conversations, ends_ns| {
            let queue = Queue { next: Arc::default(), conversations, ends_ns };
            // Of one without an end, the first seven.
            (0..7).map_while(|_| queue.next(pass)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(&whole, whole.conversations(), None), [0, 1, 2, 3, 4]);
        assert_eq!(drawn(&second_of_two, whole.conversations(), None), [1, 3]);
        assert_eq!(drawn(&whole, None, Some(u64::MAX)), [0, 1, 2, 3, 4, 5, 6]);
        assert!(drawn(&whole, None, Some(now_ns())).is_empty());
    }
}
