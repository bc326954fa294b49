//! From numbers to what people and programs read.
//!
//! Takes the metrics of all passes and their estimates; gives the console's block, report.json, the CSV, criterion's files and,
//! on request, a line a request or what other programs read. Formatting is pure: functions over writers.

mod block;
mod console;
mod criterion;
mod csv;
mod formats;
mod history;
mod numbers;
mod requests;
mod verdicts;

pub use self::csv::{CsvFormat, append_csv};
pub use block::Style;
pub use console::print_block;
pub use criterion::{write_criterion, write_criterion_change};
pub use formats::{bencher_lines, bencher_metric_format, github_entries};
pub use history::{Listed, print_history};
pub use requests::append_requests;
pub use verdicts::{print_calibration, print_verdicts};
