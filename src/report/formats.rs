//! Results for other programs: bencher's lines, Bencher Metric Format, and the JSON of github-action-benchmark.

use serde_json::{Map, Value, json};

use crate::{
    metrics::{Better, Metric},
    run::Report,
    stats::Estimate,
};

/// libtest's benchmark lines, as criterion prints them with `--output-format bencher`: a line for each time-like metric.
pub fn bencher_lines(report: &Report) -> String {
    let latencies = Metric::all().filter(|metric| metric.unit() == "s");
    let line = |metric: Metric| {
        let estimate = report.estimates.get(&metric)?;
        let (ns, spread) = (estimate.point * 1e9, half_width(estimate) * 1e9);
        let (ns, spread) = (grouped(ns), grouped(spread));
        Some(format!("test {}/{metric} ... bench: {ns:>11} ns/iter (+/- {spread})\n", report.id))
    };
    latencies.filter_map(line).collect()
}

/// [Bencher Metric Format](https://bencher.dev/docs/reference/bencher-metric-format/): benchmark → measure → value with its
/// bounds. Measures have the metrics' names, and times are nanoseconds, as Bencher's own latency measure has them.
pub fn bencher_metric_format(reports: &[Report]) -> Value {
    let measures = |report: &Report| -> Map<String, Value> {
        let measure = |metric: Metric| {
            let estimate = report.estimates.get(&metric)?;
            let scale = if estimate.unit == "s" { 1e9 } else { 1.0 };
            let mut value = json!({"value": estimate.point * scale});
            if let (Some(lower), Some(upper)) = (estimate.lower, estimate.upper) {
                value["lower_value"] = json!(lower * scale);
                value["upper_value"] = json!(upper * scale);
            }
            Some((metric.to_string(), value))
        };
        Metric::all().filter_map(measure).collect()
    };
    Value::Object(reports.iter().map(|report| (report.id.clone(), measures(report).into())).collect())
}

/// The entries of github-action-benchmark's `customBiggerIsBetter` or `customSmallerIsBetter` tool.
pub fn github_entries(reports: &[Report], better: Better) -> Value {
    let entries = reports.iter().flat_map(|report| {
        Metric::all().filter(|metric| metric.better() == better).filter_map(move |metric| {
            let estimate = report.estimates.get(&metric)?;
            let (scale, unit) = match metric.unit() {
                "s" => (1e3, "ms"),
                _ => (1.0, metric.quantity().unit_in_words),
            };
            let mut entry = json!({
                "name": format!("{}/{metric}", report.id),
                "unit": unit,
                "value": estimate.point * scale,
            });
            if estimate.lower.is_some() {
                entry["range"] = format!("± {:.6}", half_width(estimate) * scale).into();
            }
            let passes = report.passes.len();
            entry["extra"] = format!("{passes} passes of {} prompts", report.workload.num_prompts).into();
            Some(entry)
        })
    });
    Value::Array(entries.collect())
}

/// Half of the confidence interval; 0 where there is none.
fn half_width(estimate: &Estimate) -> f64 {
    estimate.lower.zip(estimate.upper).map_or(0.0, |(lower, upper)| (upper - lower) / 2.0)
}

fn grouped(value: f64) -> String {
    super::numbers::grouped(value.round().max(0.0) as u64)
}
