//! From numbers to what people and programs read.
//!
//! Takes the metrics of all passes and their estimates; gives the console's block, report.json, the CSV and, on request, a
//! line a request. Formatting is pure: functions over writers.

mod console;
mod csv;
mod json;
mod requests;

pub use self::csv::append_csv;
pub use console::{Style, print_block};
pub use json::{LoadReport, Report, SCHEMA_VERSION, ServerReport, WorkloadReport};
pub use requests::append_requests;
