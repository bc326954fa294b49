//! Runs a pass: starts its threads, and puts together what they give.

use std::{collections::HashSet, thread::ScopedJoinHandle};

use super::{
    Schedule, StopReason, open,
    pass::{ClientCost, Pass, PassRecords},
    scheduling::run_soon,
    shared::{Shared, ThreadResult},
    thread::run_thread,
};
use crate::client::{Failure, FailureClass, Record, clock::now_ns};

/// Runs one pass. Connections are opened before the first request is sent.
///
/// # Errors
/// Where the connections can't be opened, or the system gives no thread: nothing has been sent then.
pub fn run_pass(pass: &Pass) -> Result<PassRecords, Failure> {
    // More clients than conversations would only hold idle connections.
    let own = pass.conversations().map(|conversations| pass.share.count(conversations));
    let whole = match pass.schedule {
        Schedule::Closed { concurrency } => concurrency,
        Schedule::Open { connections, .. } => connections,
    };
    let connections = pass.share.part(whole).clamp(1, own.map_or(usize::MAX, |own| own.max(1)));
    let threads = pass.threads.clamp(1, connections);
    let is_open = matches!(pass.schedule, Schedule::Open { .. });
    let shared = Shared::new(pass, threads);
    let (arrivals, receivers) = open::channels(threads);
    // Client i runs on thread i mod threads.
    let shared = &shared;
    let results: Vec<Result<ThreadResult, Failure>> = std::thread::scope(|scope| {
        if is_open {
            scope.spawn(move || {
                run_soon();
                shared.started().map(|start_ns| open::dispatch(pass, arrivals, start_ns))
            });
        }
        // None of them on the caller's: what that starts later, a server perhaps, would be scheduled like a client.
        let spawned: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(thread, arrivals)| {
                scope.spawn(move || {
                    run_soon();
                    run_thread(shared, (thread..connections).step_by(threads), arrivals)
                })
            })
            .collect();
        let join = |thread: ScopedJoinHandle<_>| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        spawned.into_iter().map(join).collect()
    });

    let mut total = ThreadResult { cpu_ns: Some(0), ..ThreadResult::default() };
    for result in results {
        total.merge(result?);
    }
    // Of how many there would be, nobody knew before.
    if pass.failures.are_exceeded() {
        pass.stop.stop(StopReason::Failures);
    }
    // An interruption that finds all of them ended cuts nothing short.
    let is_whole = match own {
        Some(own) => {
            let turns: usize = (0..own).map(|i| pass.turns(pass.share.position(i)).len()).sum();
            total.records.len() + total.not_sent == turns
        }
        None => total.records.len() == total.begun.len() && shared.ends_ns().is_some_and(|ends_ns| now_ns() >= ends_ns),
    };
    let stopped = pass.stop.reason().filter(|why| !(is_whole && *why == StopReason::Interrupted));
    if stopped.is_some() {
        add_cancelled(pass, &total.begun, &mut total.records);
    }
    total.records.sort_unstable_by_key(|record: &Record| record.index);
    let client = ClientCost { cpu_ns: total.cpu_ns, threads, reads: total.reads, timers: total.timers };
    Ok(PassRecords { records: total.records, stopped, connections: total.connections, client })
}

/// Records of the requests that were in flight when the pass was stopped.
fn add_cancelled(pass: &Pass, begun: &[usize], records: &mut Vec<Record>) {
    let ended: HashSet<usize> = records.iter().map(|record| record.index).collect();
    for &index in begun.iter().filter(|index| !ended.contains(*index)) {
        let prompt = pass.prompt(index);
        let mut record = Record::new(index, prompt.prompt_tokens, pass.sampling.requested_tokens(prompt));
        record.turn = prompt.turn;
        record.end_ns = now_ns();
        record.outcome = Err(Failure::new(FailureClass::Cancelled, "the pass was stopped while it was in flight"));
        records.push(record);
    }
}
