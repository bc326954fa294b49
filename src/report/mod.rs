//! From numbers to what people and programs read.
//!
//! Takes the metrics of all passes and their estimates; gives the console's block, report.json, the CSV, criterion's files and,
//! on request, a line a request or what other programs read. Formatting is pure: functions over writers.

mod console;
mod criterion;
mod csv;
mod formats;
mod history;
mod json;
mod requests;
mod verdicts;

pub use self::csv::append_csv;
pub use console::{Style, print_block};
pub use criterion::{write_criterion, write_criterion_change};
pub use formats::{bencher_lines, bencher_metric_format, github_entries};
pub use history::{Judge, print_history};
pub use json::{Cache, EMBEDDED, Partial, Report, SCHEMA_VERSION, ServerReport, WorkloadReport};
pub use requests::append_requests;
pub use verdicts::{print_calibration, print_verdicts};

#[cfg(test)]
pub(crate) use json::samples;
