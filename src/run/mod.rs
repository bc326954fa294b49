//! A run and what was found of it, as plain data: what `baseline` keeps, `compare` sets side by side and `report` shows. The part
//! of report.json that others rely on is described in docs/design.md.

mod boundary;
mod comparison;
mod earlier;
mod place;
mod report;
#[cfg(test)]
pub(crate) mod samples;
mod trend;

pub use boundary::{Boundary, BoundaryChange, BoundaryPoint, Moved};
pub use comparison::{Comparison, Design, FailureChange, MetricChange};
pub use earlier::{Baseline, CALIBRATION_SCHEMA_VERSION, Calibration};
pub use place::{Commit, Host};
pub use report::{Cache, EMBEDDED, Partial, Report, SCHEMA_VERSION, ServerReport, WorkloadReport};
pub use trend::{Trend, TrendPoint, TrendSeries};
