//! What the passes of a benchmark gave so far.

use super::RunError;
use crate::{client::Record, metrics::PassMetrics, report::SinkError};

/// What some passes gave.
#[derive(Default)]
pub struct Passes {
    /// Those that were not cut short.
    pub whole: Vec<PassMetrics>,
    /// A pass that was cut short, where something of it was completed.
    pub cut: Option<PassMetrics>,
    /// Of the last whole pass, or else of the cut one.
    pub records: Vec<Record>,
    /// Why there are fewer whole passes than were wanted, if so.
    pub ended: Option<RunError>,
    /// What sinks could not keep of it: no reason to lose the rest.
    pub unsaved: Vec<SinkError>,
}

impl Passes {
    /// None, and why.
    pub fn ended_by(error: RunError) -> Self {
        Self { ended: Some(error), ..Self::default() }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.cut.is_none()
    }

    /// Takes what a later pass gave.
    pub fn add(&mut self, later: Self) {
        self.whole.extend(later.whole);
        self.cut = later.cut;
        if !later.records.is_empty() {
            self.records = later.records;
        }
    }
}
