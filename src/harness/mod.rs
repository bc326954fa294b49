//! cargo's side: flags, listing, test mode, filters, exit codes.
//!
//! Drives the flow from configuration to report. A bench target's `main` is one call of [`main`].

mod baselines;
mod error;
mod measure;
mod run;
mod session;

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    process::ExitCode,
};

use clap::Parser;

use baselines::Baselines;
pub use error::RunError;
use measure::{calibrate, conclude, measure, show_history};
use run::{Output, smoke_test};
use session::Session;

use crate::{
    config::{Benchmark, Cli, Color, ConfigError, ConfigFile, ListFormat, Plan, check_environment, plan},
    dataset::dump_workload,
    report::{Report, Style},
};

/// Wrong usage: a flag, a key or a value.
const EXIT_USAGE: u8 = 2;
/// A regression under `--fail-on regression`.
const EXIT_REGRESSION: u8 = 3;
/// Anything else that failed, as with libtest.
const EXIT_FAILED: u8 = 101;

/// The `main` of a bench target: reads the command line, and lists, tests or measures.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     tachometer::main()
/// }
/// ```
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come here too, and are no errors. A closed pipe is no reason to fail.
            _ = e.print();
            return ExitCode::from(e.exit_code() as u8);
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            _ = writeln!(stderr(), "error: {e}");
            ExitCode::from(match e {
                RunError::Config(_) => EXIT_USAGE,
                RunError::Regressed(_) => EXIT_REGRESSION,
                _ => EXIT_FAILED,
            })
        }
    }
}

fn run(cli: &Cli) -> Result<(), RunError> {
    check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    let file = ConfigFile::find(cli.config.as_deref())?;
    let dumping = cli.settings.dump_workload.is_some();
    // `cargo test --benches` appends nothing: then nothing is measured, and above all no live server is touched.
    let listing = cli.list || cli.show_history.is_some();
    let tiny = !listing && !cli.measures() && !dumping;
    let plan = plan(cli, &file, tiny)?;
    let selected: Vec<&Benchmark> = plan.benchmarks.iter().filter(|b| cli.selects(&b.name)).collect();
    let output = Output { style: style(cli), quiet: cli.quiet };
    if cli.list {
        return list(&selected, cli.format);
    }
    if let Some(path) = &plan.dump_workload
        && !tiny
    {
        return dump(&plan, &selected, path);
    }
    if selected.is_empty() && !cli.filters.is_empty() && cli.measures() {
        let names: Vec<&str> = plan.benchmarks.iter().map(|b| b.name.as_str()).collect();
        _ = writeln!(stderr(), "no benchmark matches; there are: {}", names.join(", "));
    }
    let session = Session::new(&plan);
    let failed = |failed: usize| RunError::Failed { failed, of: selected.len() };
    if tiny {
        let results = selected.iter().map(|benchmark| told(benchmark, smoke_test(&session, benchmark)));
        return match results.filter(Option::is_none).count() {
            0 => Ok(()),
            n => Err(failed(n)),
        };
    }
    let baselines = Baselines::new(cli, &plan);
    if let Some(metric) = cli.show_history {
        return show_history(&plan, &baselines, &|name| cli.selects(name), metric, output);
    }
    let commit = baselines.commit();
    if cli.calibrate {
        let calibrate = |benchmark: &&Benchmark| {
            told(benchmark, calibrate(&session, &baselines, benchmark, commit.clone(), output))
        };
        return match selected.iter().map(calibrate).filter(Option::is_none).count() {
            0 => Ok(()),
            n => Err(failed(n)),
        };
    }
    let measure =
        |benchmark: &&Benchmark| told(benchmark, measure(&session, &baselines, benchmark, commit.clone(), output));
    let mut reports: Vec<Report> = selected.iter().filter_map(measure).collect();
    let regressed = conclude(&plan, &baselines, &mut reports, output)?;
    if reports.len() < selected.len() {
        return Err(failed(selected.len() - reports.len()));
    }
    if regressed.is_empty() { Ok(()) } else { Err(RunError::Regressed(regressed.join(", "))) }
}

/// What a benchmark gave; its error is told, and keeps no other benchmark from running.
fn told<T>(benchmark: &Benchmark, result: Result<T, RunError>) -> Option<T> {
    result.inspect_err(|e| _ = writeln!(stderr(), "error: {}: {e}", benchmark.name)).ok()
}

fn list(selected: &[&Benchmark], format: ListFormat) -> Result<(), RunError> {
    let mut text: String = selected.iter().map(|benchmark| format!("{}: benchmark\n", benchmark.name)).collect();
    if format == ListFormat::Pretty {
        text += &format!("\n0 tests, {} benchmarks\n", selected.len());
    }
    stdout().write_all(text.as_bytes()).map_err(RunError::Output)
}

/// Writes the first pass of the one workload that was selected.
fn dump(plan: &Plan, selected: &[&Benchmark], path: &std::path::Path) -> Result<(), RunError> {
    let one = |why: String| ConfigError::Value { setting: "--dump-workload".to_owned(), why };
    let first = selected.first().ok_or_else(|| one("no benchmark was selected".to_owned()))?;
    if let Some(other) = selected.iter().find(|b| b.workload.name != first.workload.name) {
        let (a, b) = (&first.workload.name, &other.workload.name);
        return Err(one(format!("the file holds one workload, but `{a}` and `{b}` were selected: add a filter")).into());
    }
    let session = Session::new(plan);
    let workload = session.workload(&first.workload, 0)?;
    let digest = workload.digest(&first.workload.sampling);
    dump_workload(path, &workload, &digest)?;
    let prompts = workload.prompts.len();
    writeln!(stdout(), "{prompts} prompts, {digest}, written to {}", path.display()).map_err(RunError::Output)
}

fn style(cli: &Cli) -> Style {
    let color = match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    Style { color, verbose: cli.verbose }
}
