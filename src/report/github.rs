//! For github-action-benchmark: what people read on stdout, and two files of its JSON.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{console, numbers::half_width, output::Output, sink::*};
use crate::{
    files::write_whole,
    metrics::{Better, Metric},
    run::Report,
};

struct Github {
    console: Box<dyn Sink>,
    output: Output,
    folder: PathBuf,
}

pub(super) fn sink(outputs: &Outputs) -> Box<dyn Sink> {
    Box::new(Github { console: console::sink(outputs), output: outputs.output, folder: outputs.folder.clone() })
}

impl Sink for Github {
    fn benchmark(&mut self, measured: &Measured) -> Result<(), SinkError> {
        self.console.benchmark(measured)
    }

    fn beside(&mut self, report: &Report) -> Result<(), SinkError> {
        self.console.beside(report)
    }

    fn partial(&mut self, report: &Report) -> Result<(), SinkError> {
        self.console.partial(report)
    }

    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        let write = |name: &str, better| {
            let path = self.folder.join(name);
            write_whole(&path, format!("{:#}\n", github_entries(reports, better)).as_bytes())?;
            self.output.status(&format!("For github-action-benchmark: {}", path.display()));
            Ok(())
        };
        let written = [write("github-bigger.json", Better::Higher), write("github-smaller.json", Better::Lower)];
        let printed = self.console.end(reports);
        written.into_iter().collect::<Result<(), SinkError>>().and(printed)
    }
}

/// The entries of github-action-benchmark's `customBiggerIsBetter` or `customSmallerIsBetter` tool.
fn github_entries(reports: &[Report], better: Better) -> Value {
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
            let of = match report.workload.duration_s {
                Some(time_s) => format!("{time_s} s"),
                None => format!("{} prompts", report.workload.num_prompts),
            };
            entry["extra"] = format!("{passes} passes of {of}").into();
            Some(entry)
        })
    });
    Value::Array(entries.collect())
}
