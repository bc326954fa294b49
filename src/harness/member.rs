//! What a shard other than 0 does: its part of each pass, as shard 0 says.

use std::{
    io::{Write, stdout},
    time::Duration,
};

use super::{
    RunError,
    identity::digest,
    progress::{Extent, Progress},
    send::{Part, send},
    session::Session,
    shards::{clear, keep},
};
use crate::{
    baseline::Store,
    client::Learned,
    config::Plan,
    dataset::with_nonces,
    load::Stop,
    metrics::count_output_tokens,
    report::{Output, warn},
    server::HostWatch,
    shard::{Member, Next, Order, ShardError, ShardRecords, Terms, this_machine},
};

/// Takes part in a run until it is over, and prints one line.
pub fn take_part(plan: &Plan, terms: &Terms, store: &Store, stop: &Stop, output: Output) -> Result<(), RunError> {
    let (rank, of) = (terms.share.rank, terms.share.of);
    output.status(&format!("Shard {rank} of {of}: looking for shard 0 at {}", terms.rendezvous));
    let member = Member::join(terms, &this_machine(), stop).map_err(|e| interrupted_or(stop, e))?;
    let first = Session::new(plan, store.clone(), stop.clone());
    let second = plan.against.as_ref().map(|spec| first.beside(spec));
    let (mut passes, mut requests, mut kept) = (0, 0, None);
    loop {
        match member.next() {
            Next::Order(order, learned) => {
                let session = if order.is_against { second.as_ref() } else { Some(&first) };
                let Some(session) = session else {
                    member.failed("it was not told of a second server".to_owned());
                    continue;
                };
                match share_of(&member, session, terms, *order, learned) {
                    Ok(part) => {
                        (passes, requests) = (passes + 1, requests + part.records.len());
                        kept = keep(store.root(), member.run_id(), &part).or(kept);
                        if let Err(e) = member.give(part) {
                            warn(format!("shard 0 does not take the records: {e}"));
                        }
                    }
                    Err(error) => member.failed(error.to_string()),
                }
            }
            Next::End { went_well } => {
                if went_well {
                    clear(store.root(), member.run_id(), rank);
                }
                let passes = if passes == 1 { "1 pass".to_owned() } else { format!("{passes} passes") };
                let where_next = if went_well { "shard 0 has the results" } else { "the run ended early: see shard 0" };
                let line = format!("Shard {rank} of {of}: {requests} requests in {passes}; {where_next}\n");
                stdout().write_all(line.as_bytes()).map_err(RunError::Output)?;
                return first.check_stopped();
            }
            Next::Lost(ShardError(why)) => {
                let kept = kept.map_or_else(String::new, |folder| {
                    format!("; the records of this shard are in {}", folder.display())
                });
                return Err(RunError::Shard(ShardError(format!("shard 0: {why}{kept}"))));
            }
        }
    }
}

/// Ctrl-C ends the search for others, too.
pub fn interrupted_or(stop: &Stop, error: ShardError) -> RunError {
    if stop.reason().is_some() { RunError::Interrupted } else { RunError::Shard(error) }
}

/// Runs this shard's part of a pass.
fn share_of(
    member: &Member,
    session: &Session,
    terms: &Terms,
    order: Order,
    learned: Learned,
) -> Result<ShardRecords, RunError> {
    let of_workload = |name: &str| session.plan.benchmarks.iter().find(|benchmark| benchmark.workload.name == name);
    let benchmark = of_workload(&order.workload);
    let unknown =
        || ShardError(format!("it knows no workload `{}`: all shards need the same settings", order.workload));
    let mut benchmark = benchmark.ok_or_else(unknown)?.clone();
    benchmark.name.clone_from(&order.benchmark);
    benchmark.load = serde_json::from_str(&order.load).map_err(|e| ShardError(e.to_string()))?;
    benchmark.workload.num_prompts = order.num_prompts;
    benchmark.workload.duration = order.duration_ns.map(Duration::from_nanos);
    let spec = &benchmark.workload;
    let mut server = session.ready_for(spec, |_| {})?;
    server.model.clone_from(&order.model);
    // Shard 0 has sent warm-ups and earlier passes. To find out anew would hold back requests of this pass.
    server.target.adopt(learned);
    let mut workload = session.sources.prompts(spec, order.seed)?;
    let own = digest(&workload, spec).to_string();
    if own != order.digest {
        let why = format!(
            "its prompts are others (digest {own}, shard 0 has {}): all shards need the same settings, dataset and tokenizer",
            order.digest
        );
        return Err(ShardError(why).into());
    }
    let tokenizer = session.sources.tokenizer(spec.tokenizer.as_ref())?;
    if let Some(seed) = order.nonce_seed {
        workload.prompts = with_nonces(&workload.prompts, &tokenizer, spec.sampler, seed)?;
    }
    let watch = HostWatch::start(None);
    let (stop, start) = member.pass(&order);
    let part = Part { share: terms.share, start, stop };
    let progress = Progress::new(&order.benchmark, Extent::Requests(workload.prompts.len()), None, true);
    let run = send(session, &benchmark, &server, &workload, progress, &order.request_id_prefix, part);
    let (host_use, _) = watch.stop();
    let mut run = run?;
    count_output_tokens(&mut run.records, &tokenizer).map_err(RunError::Count)?;
    let mut part = ShardRecords {
        rank: terms.share.rank,
        of: terms.share.of,
        host: this_machine(),
        records: run.records,
        stopped: run.stopped,
        connections: run.connections,
        client: run.client,
        host_use: Some(host_use),
        ..ShardRecords::of(order)
    };
    member.settle(&mut part);
    Ok(part)
}
