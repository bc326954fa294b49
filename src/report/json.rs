//! Reports on stdout, a JSON line each.

use std::io::{self, Write, stdout};

use super::{output::Output, sink::*, verdicts::tell_verdicts};
use crate::run::Report;

struct Json(Output);

pub(super) fn sink(outputs: &Outputs) -> Box<dyn Sink> {
    Box::new(Json(outputs.output))
}

impl Sink for Json {
    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        let printed = print_reports(&mut stdout().lock(), reports);
        tell_verdicts(reports, self.0);
        Ok(printed?)
    }
}

/// Prints reports, a line each.
///
/// # Errors
/// Where `out` fails.
pub fn print_reports(out: &mut impl Write, reports: &[Report]) -> io::Result<()> {
    for report in reports {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
    }
    Ok(())
}
