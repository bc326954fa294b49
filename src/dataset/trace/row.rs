//! A request of a trace, and what each format of traces says of itself.

use std::path::Path;

use super::super::DatasetError;

/// A request, as far as it is known before it is chosen: traces have millions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// When it was sent, in nanoseconds of the recording's own clock.
    pub at_ns: i64,
    pub prompt_tokens: u32,
    pub output_tokens: u32,
    /// Where its line begins in the file, in bytes, and its number, from 1.
    pub line: (u64, u32),
}

/// Seconds as nanoseconds; `None` where they are no time, or one so far off that two of them have no distance.
pub(super) fn time_ns(seconds: f64) -> Option<i64> {
    (seconds.abs() < MOST_SECONDS).then(|| (seconds * 1e9).round() as i64)
}

/// 126 years, before and after 1970.
const MOST_SECONDS: f64 = 4e9;

/// A format of traces.
pub(super) struct Format {
    /// Whether a file of that name is one of them.
    pub is_of: fn(&Path) -> bool,
    /// Hands on each request of a file; an error of what it is handed to ends it.
    pub read: fn(&Path, &mut dyn FnMut(Row) -> Result<(), DatasetError>) -> Result<(), DatasetError>,
    /// The blocks of which the prompts of these rows are made: an id for each, equal ones for equal blocks. None for a prompt that is like
    /// no other.
    pub blocks: fn(&Path, &[Row]) -> Result<Vec<Vec<u64>>, DatasetError>,
}
