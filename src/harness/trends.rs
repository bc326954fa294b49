//! All runs so far: how the numbers of each benchmark went, for pages, for `--show-history` and for Otava.

use std::{collections::BTreeSet, path::Path};

use super::{RunError, baselines::Baselines};
use crate::{
    baseline::BaselineError,
    compare::{Terms, boundary_trend, trends as of_metrics},
    config::Plan,
    files::{plain_name, write_whole},
    metrics::Metric,
    report::{Output, warn},
    run::{Report, Trend, TrendPoint},
};

/// Beside the gated metrics.
const SHOWN: [&str; 6] = ["rpm", "output_tokens_per_s", "ttft_p50", "ttft_p99", "tpot_p50", "e2e_p50"];

/// The names of the benchmarks of some runs, in the order in which they are first met.
pub fn ids(runs: &[Report]) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for run in runs {
        if !ids.contains(&run.id.as_str()) {
            ids.push(&run.id);
        }
    }
    ids
}

/// What a benchmark is judged by; one that is not configured any more, by what the first one is.
pub fn terms_of<'a>(plan: &'a Plan, id: &str) -> Option<&'a Terms> {
    let configured = plan.benchmarks.iter().find(|benchmark| benchmark.name == id);
    // A load of a sweep goes by the sweep's.
    let workload = id.split('/').next();
    let related = || plan.benchmarks.iter().find(|benchmark| Some(benchmark.workload.name.as_str()) == workload);
    configured.or_else(related).or(plan.benchmarks.first()).map(|benchmark| &benchmark.workload.terms)
}

/// A metric of a benchmark over its runs, or what its searches came to; `None` where no run has it.
pub fn trend_of(id: &str, runs: &[&Report], metric: Metric, terms: &Terms) -> Option<Trend> {
    match runs.iter().any(|run| run.boundary.is_some()) {
        true => Some(boundary_trend(id, runs, terms.noise_threshold)),
        false => of_metrics(id, &[metric], runs, terms.noise_threshold).into_iter().next(),
    }
}

/// Of each benchmark its gated metrics and the usual ones, as far as they were measured.
pub fn trends(plan: &Plan, runs: &[Report]) -> Vec<Trend> {
    let of_benchmark = |id: &str| -> Vec<Trend> {
        let Some(terms) = terms_of(plan, id) else { return Vec::new() };
        let runs: Vec<&Report> = runs.iter().filter(|run| run.id == id).collect();
        if runs.iter().any(|run| run.boundary.is_some()) {
            return vec![boundary_trend(id, &runs, terms.noise_threshold)];
        }
        let mut metrics = terms.gate.clone();
        metrics.extend(SHOWN.iter().filter_map(|name| name.parse::<Metric>().ok()));
        let mut seen = BTreeSet::new();
        metrics.retain(|metric| seen.insert(*metric));
        of_metrics(id, &metrics, &runs, terms.noise_threshold)
    };
    ids(runs).into_iter().flat_map(of_benchmark).collect()
}

/// Writes the histories of benchmarks for Apache Otava: a CSV for each that can be looked at alone, and `otava.yaml`, which names them.
///
/// # Errors
/// Where the history can't be read, has nothing of what was selected, or a file can't be written.
pub fn write_history_csv(
    plan: &Plan,
    baselines: &Baselines,
    selects: &dyn Fn(&str) -> bool,
    folder: &Path,
    output: Output,
) -> Result<(), RunError> {
    let runs = baselines.history.read(&mut warn).map_err(BaselineError::from)?;
    let runs: Vec<Report> = runs.into_iter().filter(|run| selects(&run.id)).collect();
    let trends = trends(plan, &runs);
    let mut tests = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for id in ids(&runs) {
        let trends: Vec<&Trend> = trends.iter().filter(|trend| trend.benchmark == id).collect();
        let Some(first) = trends.first() else { continue };
        // The series of one metric are those of all: what sets runs apart is not the metric.
        for (i, number) in (0..first.series.len()).rev().enumerate() {
            let of_series = |trend: &Trend| trend.series[number].points.clone();
            let mut points: Vec<TrendPoint> = trends.iter().flat_map(|trend| of_series(trend)).collect();
            points.sort_by(|a, b| a.started_at.cmp(&b.started_at));
            points.dedup_by(|a, b| a.started_at == b.started_at);
            let name = plain_name(id);
            let mut name = if i == 0 { name } else { format!("{name}.{}", i + 1) };
            while names.contains(&name) {
                name.push('-');
            }
            let columns: Vec<(&Trend, String)> = trends.iter().map(|trend| (*trend, column(trend))).collect();
            let mut csv = csv::Writer::from_writer(Vec::new());
            let header = ["time", "commit", "branch"].map(str::to_owned).into_iter();
            // Writing to memory can't fail.
            _ = csv.write_record(header.chain(columns.iter().map(|(_, column)| column.clone())));
            for point in &points {
                let commit = point.commit.as_ref();
                let place = [
                    point.started_at.clone(),
                    commit.map_or_else(String::new, |commit| commit.sha.clone()),
                    commit.and_then(|commit| commit.branch.clone()).unwrap_or_default(),
                ];
                let value = |(trend, _): &(&Trend, String)| {
                    let mut all = trend.series[number].points.iter();
                    all.find(|other| other.started_at == point.started_at)
                        .map_or_else(String::new, |p| p.value.to_string())
                };
                _ = csv.write_record(place.into_iter().chain(columns.iter().map(value)));
            }
            write_whole(&folder.join(format!("{name}.csv")), &csv.into_inner().unwrap_or_default())?;
            tests.push(otava_test(&name, &columns));
            names.push(name);
        }
    }
    if names.is_empty() {
        let path = baselines.history.path().display();
        return Err(RunError::Setup(format!(
            "the history {path} has no run of the selected benchmarks: measure them first"
        )));
    }
    let yaml = format!("tests:\n{}", tests.concat());
    write_whole(&folder.join("otava.yaml"), yaml.as_bytes())?;
    let (first, place) = (&names[0], folder.display());
    output.status(&format!("{} in {place}; there: otava analyze {first} --config-file otava.yaml", csvs(names.len())));
    Ok(())
}

fn csvs(n: usize) -> String {
    format!("{n} {}", if n == 1 { "CSV" } else { "CSVs" })
}

fn column(trend: &Trend) -> String {
    trend.metric.map_or_else(|| "highest_met".to_owned(), |metric| metric.to_string())
}

/// A test of Otava's configuration: which columns there are, and which way is better.
fn otava_test(name: &str, columns: &[(&Trend, String)]) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let metric = |(trend, column): &(&Trend, String)| {
        let is_up = trend.metric.is_none_or(|metric| metric.better() == crate::metrics::Better::Higher);
        let (column, direction) = (quoted(column), if is_up { 1 } else { -1 });
        format!("      {column}: {{column: {column}, direction: {direction}, scale: 1}}\n")
    };
    let metrics: String = columns.iter().map(metric).collect();
    let (name, file) = (quoted(name), quoted(&format!("{name}.csv")));
    format!(
        "  {name}:\n    type: csv\n    file: {file}\n    time_column: time\n    attributes: [commit]\n    metrics:\n{metrics}"
    )
}
