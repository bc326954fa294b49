//! What is to be said of the shards that sent a run together.

use super::numbers::{Time, share};
use crate::{
    metrics::{PassMetrics, Shard},
    text::visible,
};

/// A start that is later than this, in seconds, shifts what a shard sends against what the others do.
const LATE_S: f64 = 0.01;
/// A client that takes more than this of what is measured is worth a word.
const SMALL_SHARE: f64 = 0.02;

/// How many there were and how well their clocks are known; and those that were late, or slow themselves.
pub(super) fn shard_lines(passes: &[PassMetrics]) -> Vec<String> {
    let Some(of) = passes.iter().map(|pass| pass.shards.len()).max().filter(|of| *of > 0) else { return Vec::new() };
    let all = || passes.iter().enumerate().flat_map(|(i, pass)| pass.shards.iter().map(move |shard| (i, shard)));
    let most = |of: fn(&Shard) -> f64| all().map(|(_, shard)| of(shard)).fold(0.0, f64::max);
    let mut lines =
        vec![format!("sent by {of} shards, whose clocks are known to ±{}", Time(most(|s| s.clock_uncertainty_s)))];
    let latest = all().max_by(|a, b| a.1.began_late_s.total_cmp(&b.1.began_late_s));
    if let Some((pass, shard)) = latest.filter(|(_, shard)| shard.began_late_s > LATE_S) {
        let (rank, host) = (shard.rank, visible(&shard.host));
        lines.push(format!("shard {rank} ({host}) began pass {} late, by {}", pass + 1, Time(shard.began_late_s)));
    }
    let own = |shard: &Shard| shard.client.share.unwrap_or(0.0);
    let slowest = all().map(|(_, shard)| shard).max_by(|a, b| own(a).total_cmp(&own(b)));
    if let Some(shard) = slowest.filter(|shard| own(shard) > SMALL_SHARE) {
        let host = visible(&shard.host);
        lines.push(format!("the client's share is largest in shard {} ({host}): {}", shard.rank, share(own(shard))));
    }
    lines
}
