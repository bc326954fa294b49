//! Criterion 0.8's files, for critcmp and the scripts that read them.
//!
//! A benchmark id for each time-like metric, `sharegpt/c64/ttft_p50`, and one for the pass itself, whose throughput is its
//! output tokens. One value a pass; times in nanoseconds, as criterion's are. A reader takes `estimates.json` for the sign
//! of a result, so that file is written last and removed first.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::sink::*;
use crate::{
    files::{FileError, write_whole},
    metrics::{Metric, percentile},
    run::Report,
    stats::{Bootstrap, bootstrap},
};

const ESTIMATES: &str = "estimates.json";
/// In the order of writing.
const FILES: [&str; 4] = ["benchmark.json", "sample.json", "tukey.json", ESTIMATES];
/// The function id of the pass itself.
const PASS: &str = "pass";
const NS_PER_S: f64 = 1e9;
/// Longer folder names are cut off, as criterion does.
const MAX_NAME_LENGTH: usize = 64;

struct Criterion(CriterionFiles);

/// Criterion's files, as benchmarks end.
pub(super) fn sink(outputs: &Outputs) -> Option<Box<dyn Sink>> {
    Some(Box::new(Criterion(outputs.criterion.clone()?)))
}

impl Sink for Criterion {
    fn benchmark(&mut self, measured: &Measured) -> Result<(), SinkError> {
        let Measured { report, baseline, last_run } = *measured;
        let CriterionFiles { root, slots, last_run: base, resamples } = &self.0;
        // Each of them, whatever became of the others.
        let before = last_run.map_or(Ok(()), |last| write_criterion(root, base, last, *resamples));
        let change = write_criterion_change(root, report, baseline, *resamples);
        let now: Vec<_> = slots.iter().map(|slot| write_criterion(root, slot, report, *resamples)).collect();
        Ok([before, change].into_iter().chain(now).collect::<Result<(), FileError>>()?)
    }
}

/// Writes a run into a slot of each of its ids, and removes what an earlier run left there of metrics that this one did not
/// measure.
///
/// # Errors
/// Where the folder can't be written.
fn write_criterion(root: &Path, slot: &str, report: &Report, resamples: usize) -> Result<(), FileError> {
    for function in functions() {
        let folder = folder(root, &report.id, &function).join(slot);
        match values_s(report, &function) {
            Some(values) => write_slot(&folder, report, &function, &values, resamples)?,
            None => remove(&folder)?,
        }
    }
    Ok(())
}

/// Writes how each id changed against the baseline of the report's comparison, paired by pass; without a comparison removes
/// what an earlier one left.
///
/// # Errors
/// Where the folder can't be written.
fn write_criterion_change(
    root: &Path,
    report: &Report,
    base: Option<&Report>,
    resamples: usize,
) -> Result<(), FileError> {
    let comparison = report.comparison.as_ref().filter(|comparison| comparison.comparable);
    for function in functions() {
        let folder = folder(root, &report.id, &function).join("change");
        let base = base.filter(|_| comparison.is_some());
        let ratios: Option<Vec<f64>> = base.map(|base| {
            let pairs = report.passes.iter().enumerate().filter_map(|(i, pass)| {
                let j = base.passes.iter().position(|other| other.seed == pass.seed)?;
                Some((*values_s(report, &function)?.get(i)?, *values_s(base, &function)?.get(j)?))
            });
            pairs.map(|(new, base)| new / base - 1.0).filter(|ratio| ratio.is_finite()).collect()
        });
        match (ratios.filter(|ratios| !ratios.is_empty()), comparison) {
            (Some(ratios), Some(comparison)) => {
                let statistics = |values: &[f64]| [mean(values), median(values)];
                let [mean, median] = bootstrap(&ratios, statistics, resamples, comparison.confidence_level);
                let level = comparison.confidence_level;
                write(&folder, ESTIMATES, &json!({"mean": estimate(mean, level), "median": estimate(median, level)}))?;
            }
            _ => remove(&folder)?,
        }
    }
    Ok(())
}

/// The ids' last parts: every latency metric, and the pass.
fn functions() -> impl Iterator<Item = String> {
    let latencies = Metric::all().filter(|metric| metric.unit() == "s").map(|metric| metric.to_string());
    std::iter::once(PASS.to_owned()).chain(latencies)
}

/// One value a pass, in seconds; `None` where a pass did not measure it.
fn values_s(report: &Report, function: &str) -> Option<Vec<f64>> {
    let metric: Option<Metric> = function.parse().ok();
    let values = report.passes.iter().map(|pass| metric.map_or(Some(pass.duration_s), |metric| metric.of(pass)));
    values.collect::<Option<Vec<f64>>>().filter(|all| !all.is_empty() && all.iter().all(|v| v.is_finite() && *v > 0.0))
}

fn write_slot(
    folder: &Path,
    report: &Report,
    function: &str,
    values_s: &[f64],
    resamples: usize,
) -> Result<(), FileError> {
    let times_ns: Vec<f64> = values_s.iter().map(|seconds| seconds * NS_PER_S).collect();
    let tokens = report.passes.iter().map(|pass| pass.output_tokens).sum::<u64>() / report.passes.len().max(1) as u64;
    let throughput = (function == PASS).then(|| json!({"Elements": tokens}));
    let full_id = format!("{}/{function}", report.id);
    write(
        folder,
        FILES[0],
        &json!({
            "group_id": report.id,
            "function_id": function,
            "value_str": null,
            "throughput": throughput,
            "full_id": full_id,
            "directory_name": format!("{}/{function}", safe_name(&report.id)),
            "title": full_id,
        }),
    )?;
    let iterations = vec![1.0; times_ns.len()];
    write(folder, FILES[1], &json!({"sampling_mode": "Flat", "iters": iterations, "times": times_ns}))?;
    write(folder, FILES[2], &fences(&times_ns))?;
    let statistics = |values: &[f64]| [mean(values), median(values), deviation_of_medians(values), deviation(values)];
    let level = report.confidence_level;
    let [mean, median, deviation_of_medians, deviation] = bootstrap(&times_ns, statistics, resamples, level);
    write(
        folder,
        FILES[3],
        &json!({
            "mean": estimate(mean, level),
            "median": estimate(median, level),
            "median_abs_dev": estimate(deviation_of_medians, level),
            "slope": null,
            "std_dev": estimate(deviation, level),
        }),
    )
}

fn estimate(bootstrap: Bootstrap, confidence_level: f64) -> Value {
    json!({
        "confidence_interval": {
            "confidence_level": confidence_level,
            "lower_bound": bootstrap.lower,
            "upper_bound": bootstrap.upper,
        },
        "point_estimate": bootstrap.point,
        "standard_error": bootstrap.standard_error,
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    percentile(&sorted(values), 0.5)
}

/// Criterion's `median_abs_dev`: with the factor that makes it the standard deviation of a normal distribution.
fn deviation_of_medians(values: &[f64]) -> f64 {
    let median = median(values);
    let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    self::median(&distances) * 1.4826
}

/// The sample's standard deviation; 0 for a single value, where criterion would write no number at all.
fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

/// Tukey's fences: the severe one below, the mild ones, the severe one above.
fn fences(values: &[f64]) -> [f64; 4] {
    let sorted = sorted(values);
    let (q1, q3) = (percentile(&sorted, 0.25), percentile(&sorted, 0.75));
    let spread = q3 - q1;
    [q1 - 3.0 * spread, q1 - 1.5 * spread, q3 + 1.5 * spread, q3 + 3.0 * spread]
}

fn folder(root: &Path, benchmark: &str, function: &str) -> PathBuf {
    root.join(safe_name(benchmark)).join(function)
}

/// As criterion names folders.
fn safe_name(name: &str) -> String {
    let unsafe_in_names = ['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'];
    name.chars().map(|c| if unsafe_in_names.contains(&c) { '_' } else { c }).take(MAX_NAME_LENGTH).collect()
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), FileError> {
    let path = folder.join(name);
    let json = serde_json::to_vec(value).map_err(|e| FileError::new("write", &path)(io::Error::other(e)))?;
    write_whole(&path, &json)
}

/// Removes this module's files from a folder, and the folder where nothing else is in it.
fn remove(folder: &Path) -> Result<(), FileError> {
    for name in FILES.iter().rev() {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(FileError::new("remove", &path)(e)),
            _ => {}
        }
    }
    // It may hold another's files, or not be there.
    _ = fs::remove_dir(folder);
    Ok(())
}
