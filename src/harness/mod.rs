//! cargo's side: flags, listing, test mode, filters, exit codes.
//!
//! Drives the flow from configuration to report. A bench target's `main` is one call of [`main`].

mod baselines;
mod error;
mod gate;
mod history;
mod measure;
mod output;
mod probe;
mod progress;
mod prompt_cache;
mod run;
mod session;

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    process::ExitCode,
};

use baselines::Baselines;
pub use error::RunError;
pub use gate::Gate;
use history::show_history;
use measure::{Measured, calibrate, conclude, measure};
use output::Output;
use run::{Half, digest, seed_of, smoke_test};
use session::Session;

use crate::{
    client::Trust,
    config::{Benchmark, Cli, Color, ConfigError, ConfigFile, ListFormat, Plan, ServerSpec, check_environment, plan},
    dataset::dump_workload,
    load::{Stop, StopReason, raise_open_files_limit},
    report::Style,
    run::Report,
    text::visible,
};

/// Wrong usage: a flag, a key or a value.
const EXIT_USAGE: u8 = 2;
/// What `--fail-on` names has happened.
const EXIT_GATE: u8 = 3;
/// Anything else that failed, as with libtest.
const EXIT_FAILED: u8 = 101;
/// Ctrl-C or SIGTERM, as shells say it.
const EXIT_INTERRUPTED: u8 = 130;

/// The `main` of a bench target: reads the command line, and lists, tests or measures.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     tachometer::main()
/// }
/// ```
pub fn main() -> ExitCode {
    let cli = match Cli::of_this_process() {
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
            _ = writeln!(stderr(), "error: {}", visible(&e.to_string()));
            ExitCode::from(match e {
                RunError::Config(_) => EXIT_USAGE,
                RunError::Gate(_) => EXIT_GATE,
                RunError::Interrupted => EXIT_INTERRUPTED,
                _ => EXIT_FAILED,
            })
        }
    }
}

fn run(cli: &Cli) -> Result<(), RunError> {
    cli.check()?;
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
    let stop = Stop::default();
    let session = Session::new(&plan, stop.clone());
    let failed = |failed: usize| RunError::Failed { failed, of: selected.len() };
    if tiny {
        let results = selected.iter().map(|benchmark| {
            stop.forgive_failures();
            told(benchmark, smoke_test(&session, benchmark))
        });
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
    raise_open_files_limit();
    stop_on_signals(stop.clone());
    warn_of_trust(&plan);
    // One that failed keeps no other from running; one that was interrupted does.
    let interrupted = || stop.reason() == Some(StopReason::Interrupted);
    let next = |_: &&&Benchmark| {
        stop.forgive_failures();
        !interrupted()
    };
    if cli.calibrate {
        let calibrate = |benchmark: &&Benchmark| {
            told(benchmark, calibrate(&session, &baselines, benchmark, commit.clone(), output))
        };
        let done = selected.iter().take_while(next).filter_map(calibrate).count();
        return match selected.len() - done {
            _ if interrupted() => Err(RunError::Interrupted),
            0 => Ok(()),
            n => Err(failed(n)),
        };
    }
    let measure =
        |benchmark: &&Benchmark| told(benchmark, measure(&session, &baselines, benchmark, commit.clone(), output));
    let mut reports: Vec<Report> = Vec::new();
    let mut whole = 0;
    for Measured { report, problems } in selected.iter().take_while(next).filter_map(measure) {
        whole += usize::from(problems.is_empty());
        problems.iter().for_each(|e| tell(&report.id, e));
        reports.push(report);
    }
    let (gate, mut problems) = conclude(&plan, &baselines, &mut reports, output);
    let some_failed = whole < selected.len();
    // The last of them is what this returns, unless there is more to say.
    let last = if some_failed { None } else { problems.pop() };
    problems.iter().for_each(|e| _ = writeln!(stderr(), "error: {}", visible(&e.to_string())));
    if interrupted() {
        return Err(RunError::Interrupted);
    }
    match last {
        Some(problem) => Err(problem),
        None if some_failed => Err(failed(selected.len() - whole)),
        None if gate.passes() => Ok(()),
        None => Err(RunError::Gate(gate)),
    }
}

/// Ctrl-C or SIGTERM ends the run with what it has; the second time, at once.
fn stop_on_signals(stop: Stop) {
    let handler = move || {
        if stop.reason() == Some(StopReason::Interrupted) {
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
        stop.stop(StopReason::Interrupted);
        _ = writeln!(stderr(), "Stopping, and keeping what is complete; once more leaves at once");
    };
    if let Err(e) = ctrlc::set_handler(handler) {
        _ = writeln!(stderr(), "warning: Ctrl-C will lose what is under way: {e}");
    }
}

fn warn_of_trust(plan: &Plan) {
    if let ServerSpec::Live { trust: Trust::Anyone, url, .. } = &plan.server
        && url.tls
    {
        _ = writeln!(stderr(), "warning: --insecure: anybody may pose as {url} and read the key and the prompts");
    }
}

/// What a benchmark gave; its error is told, and keeps no other benchmark from running.
fn told<T>(benchmark: &Benchmark, result: Result<T, RunError>) -> Option<T> {
    result.inspect_err(|e| tell(&benchmark.name, e)).ok()
}

fn tell(benchmark: &str, error: &RunError) {
    _ = writeln!(stderr(), "error: {benchmark}: {}", visible(&error.to_string()));
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
    let session = Session::new(plan, Stop::default());
    let workload = session.prompts(&first.workload, seed_of(&first.workload, &first.load, Half::First, 0))?;
    let digest = digest(&workload, &first.workload);
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
