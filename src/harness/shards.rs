//! Passes that several shards run together, on shard 0's side.

use std::path::{Path, PathBuf};

use super::{
    RunError,
    send::Part,
    session::{Server, Session},
};
use crate::{
    client::{ConnectionStats, Learned, Record},
    config::Benchmark,
    dataset::Prompts,
    files::plain_name,
    load::{ClientCost, LoadPoint, PassRecords, Share, StopReason},
    metrics::{HostUse, PassMetrics, Shard, Steady, client_share},
    report::warn,
    run::Report,
    shard::{Leader, Order, ShardRecords, this_machine, write_records},
};

/// A pass that is to be run together.
pub struct Together<'a> {
    pub session: &'a Session<'a>,
    pub leader: &'a Leader,
    pub benchmark: &'a Benchmark,
    pub order: Order,
    /// What is known of the server so far.
    pub learned: Learned,
}

impl<'a> Together<'a> {
    /// As shard 0 tells the others of it.
    pub fn of(
        session: &'a Session,
        leader: &'a Leader,
        benchmark: &'a Benchmark,
        server: &Server,
        (workload, digest): (&Prompts, &str),
        (nonce_seed, request_id_prefix): (Option<u64>, &str),
        (started_at, report): (&str, &Report),
    ) -> Self {
        let Benchmark { name, workload: spec, load, .. } = benchmark;
        let order = Order {
            number: leader.next_order(),
            benchmark: name.clone(),
            workload: spec.name.clone(),
            is_against: session.is_against,
            model: server.model.clone(),
            load: load.shape().to_json().to_string(),
            seed: workload.seed,
            nonce_seed,
            num_prompts: spec.num_prompts,
            duration_ns: spec.duration.map(|time| time.as_nanos() as u64),
            digest: digest.to_owned(),
            request_id_prefix: request_id_prefix.to_owned(),
            started_at: started_at.to_owned(),
            report: serde_json::to_string(report).unwrap_or_default(),
        };
        Self { session, leader, benchmark, order, learned: server.target.learned() }
    }

    /// Has all shards run it, this one by `send`; gives what this one's part gave, and the others'.
    pub fn run(
        &self,
        send: impl FnOnce(Part) -> Result<PassRecords, RunError>,
    ) -> Result<(PassRecords, Vec<ShardRecords>), RunError> {
        self.leader.order(&self.order, self.learned)?;
        let part = Part {
            share: Share { rank: 0, of: self.leader.shards() },
            start: self.leader.start(self.benchmark.load.shape().concurrency().is_none()),
            stop: self.session.stop.clone(),
        };
        match send(part) {
            Ok(own) => Ok((own, self.leader.gather())),
            Err(error) => {
                self.leader.cancel();
                Err(error)
            }
        }
    }

    /// Puts all parts together on the clock of this shard, in the order of sending; the tokens of each are counted. Keeps a copy of this
    /// one's part beside those that the others keep.
    pub fn merge(&self, own: &mut PassRecords, host_use: HostUse, mut given: Vec<ShardRecords>) -> Vec<Shard> {
        let own_part = ShardRecords {
            rank: 0,
            of: self.leader.shards(),
            host: this_machine(),
            records: std::mem::take(&mut own.records),
            stopped: own.stopped,
            connections: std::mem::take(&mut own.connections),
            client: std::mem::take(&mut own.client),
            host_use: Some(host_use),
            ..ShardRecords::of(self.order.clone())
        };
        keep(self.session.store().root(), &self.session.run_id(), &own_part);
        given.insert(0, own_part);
        let (all, shards) = merged(given, &self.benchmark.load);
        *own = all;
        // Of how many there would be on all shards, none of them knew.
        let budget = self.benchmark.workload.max_failures;
        let failed = own.records.iter().filter(|record| !record.is_completed()).count();
        if own.stopped.is_none() && failed > budget.of(own.records.len()) {
            self.session.stop.stop(StopReason::Failures);
            own.stopped = Some(StopReason::Failures);
        }
        shards
    }
}

/// All parts of a pass as one, by the clock of shard 0.
pub fn merged(given: Vec<ShardRecords>, load: &LoadPoint) -> (PassRecords, Vec<Shard>) {
    let mut all = PassRecords {
        records: Vec::with_capacity(given.iter().map(|part| part.records.len()).sum()),
        stopped: None,
        connections: ConnectionStats::default(),
        client: ClientCost { cpu_ns: Some(0), ..ClientCost::default() },
    };
    let mut shards = Vec::new();
    for mut part in given {
        let share = Share { rank: part.rank, of: part.of };
        let clients = load.shape().concurrency().map(|whole| share.part(whole));
        let mut shard = Shard::new(part.rank, part.host);
        shard.completed = part.records.iter().filter(|record| record.is_completed()).count();
        shard.failed = part.records.len() - shard.completed;
        shard.clock_offset_s = part.clock_offset_ns as f64 * 1e-9;
        shard.clock_uncertainty_s = part.clock_uncertainty_ns as f64 * 1e-9;
        shard.began_late_s = part.began_late_ns as f64 * 1e-9;
        shard.client = part.client.used();
        shard.client.share = client_share(&part.records, clients);
        shard.host_use = part.host_use;
        shards.push(shard);
        part.records.iter_mut().for_each(|record| record.shift(part.clock_offset_ns));
        all.records.append(&mut part.records);
        all.connections += part.connections;
        all.client.add(&part.client);
        all.stopped = match (all.stopped, part.stopped) {
            (Some(StopReason::Interrupted), _) | (_, Some(StopReason::Interrupted)) => Some(StopReason::Interrupted),
            (one, other) => one.or(other),
        };
    }
    all.records.sort_unstable_by_key(|record: &Record| record.index);
    (all, shards)
}

/// The numbers of a pass, as far as its records have them.
///
/// `of` is how many shards the pass was divided among, whichever of them gave something.
pub fn numbers(
    run: &PassRecords,
    (shards, of): (Vec<Shard>, usize),
    load: &LoadPoint,
    seed: u64,
    started_at: String,
) -> PassMetrics {
    let mut pass = PassMetrics::of(seed, started_at, &run.records, run.connections, run.client.used());
    pass.client.share = match load.shape().concurrency() {
        // Each shard has a queue of its own, which ends when it does.
        Some(clients) if !shards.is_empty() => share_of_all(&shards, of, clients),
        concurrency => client_share(&run.records, concurrency),
    };
    pass.steady = Steady::of(&run.records, load.shape().concurrency());
    pass.shards = shards;
    pass
}

/// The client's share of a closed loop of so many clients: the mean over all of them.
fn share_of_all(shards: &[Shard], of: usize, clients: usize) -> Option<f64> {
    let clients = |shard: &Shard| Share { rank: shard.rank, of }.part(clients) as f64;
    let sum: Option<f64> = shards.iter().map(|shard| Some(shard.client.share? * clients(shard))).sum();
    Some(sum? / shards.iter().map(clients).sum::<f64>())
}

/// The file of a shard's part of a pass, until the run has ended well.
fn kept_at(root: &Path, run_id: &str, part: &ShardRecords) -> PathBuf {
    let ShardRecords { rank, order, .. } = part;
    let name = format!("{:05}-{}.shard-{rank}", order.number, plain_name(&order.benchmark));
    root.join("shards").join(run_id).join(name)
}

/// Keeps a shard's part of a pass in case another shard is lost; gives the folder, where it could be written.
pub fn keep(root: &Path, run_id: &str, part: &ShardRecords) -> Option<PathBuf> {
    let path = kept_at(root, run_id, part);
    match write_records(&path, part) {
        Ok(()) => path.parent().map(Path::to_owned),
        Err(e) => {
            warn(format!("the records of this shard are kept in memory only: {e}"));
            None
        }
    }
}

/// Clears away what [`keep`] has written for a rank, once it is not needed any more.
pub fn clear(root: &Path, run_id: &str, rank: usize) {
    let folder = root.join("shards").join(run_id);
    let Ok(entries) = std::fs::read_dir(&folder) else { return };
    let own = format!(".shard-{rank}");
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(&own)) {
        _ = std::fs::remove_file(entry.path());
    }
    // Where other shards have files there, it stays.
    _ = std::fs::remove_dir(&folder);
    _ = std::fs::remove_dir(root.join("shards"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three shards of five clients have two, two and one.
    #[test]
    fn the_clients_share_is_the_mean_over_the_clients_that_there_are() {
        let shard = |rank: usize, share: Option<f64>| {
            let mut shard = Shard::new(rank, String::new());
            shard.client.share = share;
            shard
        };
        let [a, b, c] = [shard(0, Some(0.1)), shard(1, Some(0.2)), shard(2, Some(0.5))];
        let near = |got: Option<f64>, expected: f64| assert!((got.unwrap() - expected).abs() < 1e-12, "{got:?}");
        near(share_of_all(&[a.clone(), b, c.clone()], 3, 5), (0.1 * 2.0 + 0.2 * 2.0 + 0.5) / 5.0);
        // Shard 1 was lost.
        near(share_of_all(&[a.clone(), c], 3, 5), (0.1 * 2.0 + 0.5) / 3.0);
        assert_eq!(share_of_all(&[a, shard(1, None)], 2, 5), None);
    }
}
