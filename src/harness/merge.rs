//! `--merge`: what shards have kept of a run that lost shard 0, put together by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    RunError,
    baselines::Baselines,
    shards::{merged, numbers},
};
use crate::{
    client::Record,
    config::Plan,
    load::{LoadPoint, StopReason},
    metrics::{Goodput, PassMetrics},
    report::{Output, Sinks, warn},
    run::{Partial, Report},
    shard::{ShardError, ShardRecords, read_records},
    stats::{Stopping, estimates, estimates_within},
};

/// A pass, as far as shards have kept it.
struct Merged {
    pass: PassMetrics,
    records: Vec<Record>,
    /// Whether all shards have, and none was stopped.
    is_whole: bool,
}

/// Puts together what stands in a folder, and shows and keeps it as partial results of each benchmark.
///
/// # Errors
/// Where nothing stands there, or it can't be written.
pub fn merge(plan: &Plan, baselines: &Baselines, folder: &Path, output: Output) -> Result<(), RunError> {
    let mut passes: BTreeMap<u64, Vec<ShardRecords>> = BTreeMap::new();
    for path in files(folder)? {
        match read_records(&path) {
            Ok(part) => passes.entry(part.order.number).or_default().push(part),
            Err(e) => warn(format!("left out: {e}")),
        }
    }
    let runs: BTreeSet<String> = passes.values().flatten().map(|part| run_id(&part.order.report)).collect();
    if runs.len() > 1 {
        let runs = runs.into_iter().collect::<Vec<_>>().join(", ");
        return Err(ShardError(format!(
            "{} holds records of several runs ({runs}): name the folder of one",
            folder.display()
        ))
        .into());
    }
    // A load of a search, or a server, is one thing; another one is another.
    let mut benchmarks: BTreeMap<(bool, String, String), Vec<Merged>> = BTreeMap::new();
    let mut reports: BTreeMap<(bool, String, String), Report> = BTreeMap::new();
    for parts in passes.into_values() {
        let Some(first) = parts.first() else { continue };
        let order = first.order.clone();
        let report: Report = serde_json::from_str(&order.report).map_err(|e| ShardError(e.to_string()))?;
        let key = (order.is_against, order.benchmark.clone(), order.load.clone());
        let merged = benchmarks.entry(key.clone()).or_default();
        merged.push(pass_of(parts, &report, merged.len() + 1)?);
        reports.insert(key, report);
    }
    if reports.is_empty() {
        return Err(ShardError(format!("{} has no records of shards", folder.display())).into());
    }
    let mut sinks = Sinks::new(plan.output_format, &baselines.outputs(output));
    for (key, mut report) in reports {
        let merged = benchmarks.remove(&key).unwrap_or_default();
        fill(&mut report, merged);
        if let Some(path) = baselines.keep_partial(&report)? {
            output.status(&format!("Partial results of {}: {}", report.id, path.display()));
        }
        sinks.partial(&report);
    }
    Ok(())
}

/// Those that shards have written, in the folder of a run or in the one above it.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ShardError> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, ShardError> {
        let entries = std::fs::read_dir(folder).map_err(|e| ShardError(format!("{}: {e}", folder.display())))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let is_part = |path: &PathBuf| path.extension().is_some_and(|end| end.to_string_lossy().starts_with("shard-"));
    let mut all = Vec::new();
    for path in list(folder)? {
        if path.is_dir() {
            all.extend(list(&path)?);
        } else {
            all.push(path);
        }
    }
    all.retain(is_part);
    all.sort();
    Ok(all)
}

fn run_id(report: &str) -> String {
    let report: Option<serde_json::Value> = serde_json::from_str(report).ok();
    report.and_then(|report| Some(report["run_id"].as_str()?.to_owned())).unwrap_or_default()
}

fn pass_of(parts: Vec<ShardRecords>, report: &Report, number: usize) -> Result<Merged, RunError> {
    let Some(first) = parts.first() else { return Err(ShardError("a pass without records".to_owned()).into()) };
    let (order, of) = (first.order.clone(), first.of);
    let load: LoadPoint = serde_json::from_str(&order.load).map_err(|e| ShardError(e.to_string()))?;
    let missing: Vec<String> =
        (0..of).filter(|rank| parts.iter().all(|part| part.rank != *rank)).map(|rank| rank.to_string()).collect();
    if !missing.is_empty() {
        warn(format!("{}: pass {number} lacks the records of shard {}", order.benchmark, missing.join(", ")));
    }
    let (run, shards) = merged(parts, &load);
    let mut pass = numbers(&run, (shards, of), &load, order.seed, order.started_at);
    pass.digest = order.digest;
    let goodput: Option<Goodput> = report.workload.goodput.as_deref().and_then(|limits| limits.parse().ok());
    pass.good = goodput.map(|goodput| goodput.count(&run.records));
    Ok(Merged { pass, is_whole: missing.is_empty() && run.stopped.is_none(), records: run.records })
}

/// Puts the numbers into a report: estimates rest on whole passes, where there are any.
fn fill(report: &mut Report, merged: Vec<Merged>) {
    let level = report.confidence_level;
    let (whole, cut): (Vec<Merged>, Vec<Merged>) = merged.into_iter().partition(|merged| merged.is_whole);
    let cut = cut.into_iter().last();
    report.estimates = match (whole.as_slice(), &cut) {
        ([one], _) | ([], Some(one)) => estimates_within(&one.pass, &one.records, level),
        (passes, _) => {
            let passes: Vec<PassMetrics> = passes.iter().map(|merged| merged.pass.clone()).collect();
            estimates(&passes, level, Stopping::of(report.resolve))
        }
    };
    let passes_wanted = report.partial.map_or(whole.len() + 1, |partial| partial.passes_wanted);
    report.partial = Some(Partial { why: StopReason::Error, passes_wanted, last_pass_cut: cut.is_some() });
    report.passes = whole.into_iter().chain(cut).map(|merged| merged.pass).collect();
    report.started_at = report.passes.first().map(|pass| pass.started_at.clone()).unwrap_or_default();
}
