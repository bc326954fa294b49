use crate::{
    config::{Arguments, ListFormat},
    metrics::Metric,
};

/// What a process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Names the benchmarks.
    List(ListFormat),
    /// Writes the prompts of one workload to a file.
    Dump,
    /// Lists what earlier runs measured, of a metric or the first gated one.
    History(Option<Metric>),
    /// Writes what earlier runs measured for Otava.
    HistoryCsv,
    /// Draws the pages of the last runs once more.
    Report,
    /// Puts together what shards have kept of a run.
    Merge,
    /// Runs each benchmark once, tiny, on the embedded engine; what `cargo test --benches` does, which adds no flag.
    Test,
    /// Runs each benchmark against itself.
    Calibrate,
    /// Measures.
    Measure,
}

impl Mode {
    /// As the command line says.
    pub fn of(arguments: &Arguments) -> Self {
        match arguments {
            Arguments { list: true, format, .. } => Self::List(*format),
            _ if arguments.settings.dump_workload.is_some() => Self::Dump,
            Arguments { show_history: Some(metric), .. } => Self::History(*metric),
            Arguments { history_csv: Some(_), .. } => Self::HistoryCsv,
            Arguments { report_only: true, .. } => Self::Report,
            Arguments { merge: Some(_), .. } => Self::Merge,
            Arguments { bench: false, .. } | Arguments { test: true, .. } => Self::Test,
            Arguments { calibrate: true, .. } => Self::Calibrate,
            _ => Self::Measure,
        }
    }
}
