//! For Bencher and for what reads libtest's benchmark lines.

use std::io::{Write, stdout};

use serde_json::{Map, Value, json};

use super::{
    numbers::{grouped, half_width},
    output::Output,
    sink::*,
    verdicts::tell_verdicts,
};
use crate::{metrics::Metric, run::Report};

struct Lines(Output);

/// libtest's lines, as benchmarks end.
pub(super) fn lines(outputs: &Outputs) -> Box<dyn Sink> {
    Box::new(Lines(outputs.output))
}

impl Sink for Lines {
    fn benchmark(&mut self, measured: &Measured) -> Result<(), SinkError> {
        Ok(stdout().write_all(bencher_lines(measured.report).as_bytes())?)
    }

    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        tell_verdicts(reports, self.0);
        Ok(())
    }
}

struct MetricFormat(Output);

/// One document, when all benchmarks are done.
pub(super) fn metric_format(outputs: &Outputs) -> Box<dyn Sink> {
    Box::new(MetricFormat(outputs.output))
}

impl Sink for MetricFormat {
    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        let printed = writeln!(stdout(), "{:#}", bencher_metric_format(reports));
        tell_verdicts(reports, self.0);
        Ok(printed?)
    }
}

/// libtest's benchmark lines, as criterion prints them with `--output-format bencher`: a line for each time-like metric.
fn bencher_lines(report: &Report) -> String {
    let latencies = Metric::all().filter(|metric| metric.unit() == "s");
    let line = |metric: Metric| {
        let estimate = report.estimates.get(&metric)?;
        let (ns, spread) = (estimate.point * 1e9, half_width(estimate) * 1e9);
        let (ns, spread) = (rounded(ns), rounded(spread));
        Some(format!("test {}/{metric} ... bench: {ns:>11} ns/iter (+/- {spread})\n", report.id))
    };
    latencies.filter_map(line).collect()
}

/// [Bencher Metric Format](https://bencher.dev/docs/reference/bencher-metric-format/): benchmark → measure → value with its
/// bounds. Measures have the metrics' names, and times are nanoseconds, as Bencher's own latency measure has them.
fn bencher_metric_format(reports: &[Report]) -> Value {
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

fn rounded(ns: f64) -> String {
    grouped(ns.round().max(0.0) as u64)
}
