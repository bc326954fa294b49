//! From numbers to what people and programs read.
//!
//! Takes the metrics of all passes and their estimates; gives the console's block, the CSV, criterion's files and, on request, a
//! line a request or what other programs read: a [`Sink`] each. Formatting is pure: functions over writers.

mod bencher;
mod block;
mod boundary;
mod console;
mod conversations;
mod criterion;
mod csv;
mod github;
mod history;
#[cfg(feature = "html")]
mod html;
mod json;
mod markdown;
mod numbers;
mod objectives;
mod output;
mod requests;
mod shards;
mod sink;
mod sinks;
mod sparkline;
mod summary;
mod sweep;
mod verdicts;

pub use self::csv::append_csv;
pub use block::Style;
pub use boundary::load_words;
pub use console::print_block;
pub use history::{Listed, print_boundaries, print_history};
pub use json::print_reports;
pub use numbers::{change_of, share};
pub use objectives::measured_words;
pub use output::{Output, warn};
pub use sink::{AllRuns, CriterionFiles, CsvFormat, Measured, Outputs, PassSent, SinkError};
pub use sinks::{OutputFormat, Sinks};
pub use verdicts::print_calibration;
