//! The order of work: what each mode does with the benchmarks that were selected.

use std::{
    cell::RefCell,
    io::{IsTerminal, Write, stderr, stdout},
    iter::repeat_n,
    path::Path,
    rc::Rc,
};

use once_cell::sync::OnceCell;

use super::{
    RunError,
    baselines::Baselines,
    command::command,
    conclusion::{Conclusion, EXIT_INTERRUPTED},
    draw::draw,
    eta::Eta,
    goal::Budget,
    history::show_history,
    identity::{Half, digest, seed_of},
    measure::{Measured, Work},
    member::{interrupted_or, take_part},
    merge::merge,
    mode::Mode,
    session::Session,
    shards::clear,
    smoke_test::smoke_test,
    sources::Sources,
    trends::write_history_csv,
};
use crate::{
    baseline::Store,
    client::Trust,
    config::{Arguments, Benchmark, Color, ConfigError, ListFormat, Plan, ServerSpec},
    dataset::dump_workload,
    load::{Stop, StopReason, raise_open_files_limit},
    report::{Output, Sinks, Style},
    run::Report,
    shard::Leader,
    text::visible,
};

/// Does what the arguments say with a plan's benchmarks. What goes wrong is told on stderr as it happens.
///
/// ```no_run
/// use tachometer::{Harness, config::Arguments, harness};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let arguments = Arguments::of_this_process()?;
/// let plan = Harness::from_env().plan(&arguments)?;
/// let conclusion = harness::run(&arguments, &plan);
/// for report in &conclusion.reports {
///     println!("{}: {:?}", report.id, report.estimates);
/// }
/// # Ok(())
/// # }
/// ```
pub fn run(arguments: &Arguments, plan: &Plan) -> Conclusion {
    let conclusion = conclusion(arguments, plan);
    if let Some(error) = &conclusion.error {
        tell_error(error);
    }
    conclusion
}

/// Measures one benchmark, and neither prints nor writes what it gave.
pub(super) fn measure_alone(
    arguments: &Arguments,
    plan: &Plan,
    name: &str,
    output: Output,
) -> Result<Report, RunError> {
    let selected: Vec<&Benchmark> = plan.benchmarks.iter().filter(|benchmark| benchmark.name == name).collect();
    let Some(benchmark) = selected.first() else {
        return Err(RunError::Setup(format!("there is no benchmark `{name}`")));
    };
    if plan.shards.is_some() {
        return Err(RunError::Setup("objectives are tested by one process: leave out --shard".to_owned()));
    }
    let work = work(arguments, plan, &selected, output);
    work.sinks.replace(Sinks::default());
    if !goes_on(&work) {
        return Err(RunError::Interrupted);
    }
    let Measured { report, problems } = work.measure(benchmark)?;
    problems.iter().for_each(|e| tell(name, e));
    Ok(report)
}

fn conclusion(arguments: &Arguments, plan: &Plan) -> Conclusion {
    let mode = match (Mode::of(arguments), &plan.dump_workload) {
        // The file can ask for it too.
        (Mode::History(_) | Mode::Measure | Mode::Calibrate, Some(_)) => Mode::Dump,
        (mode, _) => mode,
    };
    let selected: Vec<&Benchmark> = plan.benchmarks.iter().filter(|b| arguments.selects(&b.name)).collect();
    if selected.is_empty() && !arguments.filters.is_empty() && matches!(mode, Mode::Measure | Mode::Calibrate) {
        let names: Vec<&str> = plan.benchmarks.iter().map(|b| b.name.as_str()).collect();
        let why = format!("no benchmark matches; there are: {}", names.join(", "));
        // A gate that lets everything pass because it looks at nothing is none.
        if !plan.fail_on.is_empty() {
            return Err(RunError::from(ConfigError::Value { setting: "FILTER".to_owned(), why })).into();
        }
        _ = writeln!(stderr(), "{why}");
    }
    let nothing = |()| Vec::new();
    match mode {
        Mode::List(format) => list(&selected, format).map(nothing).into(),
        Mode::Dump => dump(plan, &selected).map(nothing).into(),
        Mode::Test => test(plan, &selected).map(nothing).into(),
        Mode::History(metric) => {
            let baselines = Baselines::new(arguments, plan, store(plan));
            show_history(plan, &baselines, &|name| arguments.selects(name), metric, output(arguments))
                .map(nothing)
                .into()
        }
        Mode::HistoryCsv => {
            let baselines = Baselines::new(arguments, plan, store(plan));
            let folder = arguments.history_csv.as_deref().unwrap_or(Path::new(""));
            write_history_csv(plan, &baselines, &|name| arguments.selects(name), folder, output(arguments))
                .map(nothing)
                .into()
        }
        Mode::Report => {
            let baselines = Baselines::new(arguments, plan, store(plan));
            draw(plan, &baselines, &|name| arguments.selects(name), output(arguments)).map(nothing).into()
        }
        Mode::Merge => {
            let baselines = Baselines::new(arguments, plan, store(plan));
            let folder = arguments.merge.as_deref().unwrap_or(Path::new(""));
            merge(plan, &baselines, folder, output(arguments)).map(nothing).into()
        }
        Mode::Calibrate | Mode::Measure if plan.shards.as_ref().is_some_and(|terms| terms.share.rank > 0) => {
            raise_open_files_limit();
            let part = plan
                .shards
                .as_ref()
                .map(|terms| take_part(plan, terms, &store(plan), &stop_on_signals(), output(arguments)));
            part.unwrap_or(Ok(())).map(nothing).into()
        }
        Mode::Calibrate => with_shards(plan, work(arguments, plan, &selected, output(arguments)), |work| {
            calibrate(work, &selected).map(nothing).into()
        }),
        Mode::Measure => {
            with_shards(plan, work(arguments, plan, &selected, output(arguments)), |work| measure(work, &selected))
        }
    }
}

/// Does the work, together with the other shards where there are such.
fn with_shards(plan: &Plan, mut work: Work, run: impl FnOnce(&Work) -> Conclusion) -> Conclusion {
    let Some(terms) = &plan.shards else { return run(&work) };
    let run_id = work.session.run_id();
    let stop = work.session.stop.clone();
    let leader = match Leader::gather_shards(terms, &run_id, &stop, |line| work.output.status(line)) {
        Ok(leader) => Rc::new(leader),
        Err(error) => return Err(interrupted_or(&stop, error)).into(),
    };
    work.session.shards = Some(leader.clone());
    if let Some(against) = &mut work.against {
        against.shards = Some(leader.clone());
    }
    let conclusion = run(&work);
    let went_well = matches!(conclusion.error, None | Some(RunError::Gate(_)));
    leader.end(went_well);
    if went_well {
        clear(store(plan).root(), &run_id, 0);
    }
    conclusion
}

fn list(selected: &[&Benchmark], format: ListFormat) -> Result<(), RunError> {
    let mut text: String = selected.iter().map(|benchmark| format!("{}: benchmark\n", benchmark.name)).collect();
    if format == ListFormat::Pretty {
        text += &format!("\n0 tests, {} benchmarks\n", selected.len());
    }
    stdout().write_all(text.as_bytes()).map_err(RunError::Output)
}

/// Writes the first pass of the one workload that was selected.
fn dump(plan: &Plan, selected: &[&Benchmark]) -> Result<(), RunError> {
    let one = |why: String| ConfigError::Value { setting: "--dump-workload".to_owned(), why };
    let path: &Path = plan.dump_workload.as_deref().unwrap_or(Path::new(""));
    let first = selected.first().ok_or_else(|| one("no benchmark was selected".to_owned()))?;
    if let Some(other) = selected.iter().find(|b| b.workload.name != first.workload.name) {
        let (a, b) = (&first.workload.name, &other.workload.name);
        return Err(one(format!("the file holds one workload, but `{a}` and `{b}` were selected: add a filter")).into());
    }
    if first.find_max.is_some() || first.sweep.is_some() {
        let what = if first.find_max.is_some() { "--find-max" } else { "a sweep" };
        return Err(one(format!("{what} sends other prompts at each load: name one load in its place")).into());
    }
    let session = Session::new(plan, store(plan), Stop::default());
    let workload = session.sources.prompts(&first.workload, seed_of(&first.workload, &first.load, Half::First, 0))?;
    let digest = digest(&workload, &first.workload);
    dump_workload(path, &workload, &digest)?;
    let prompts = workload.prompts.len();
    writeln!(stdout(), "{prompts} prompts, {digest}, written to {}", path.display()).map_err(RunError::Output)
}

fn test(plan: &Plan, selected: &[&Benchmark]) -> Result<(), RunError> {
    let stop = Stop::default();
    let mut session = Session::new(plan, store(plan), stop.clone());
    // It leaves no file.
    session.sources = Sources::new(None, stop.clone()).into();
    let done = selected.iter().filter_map(|benchmark| {
        stop.forgive_failures();
        told(benchmark, smoke_test(&session, benchmark))
    });
    failed(done.count(), selected)
}

fn calibrate(work: &Work, selected: &[&Benchmark]) -> Result<(), RunError> {
    let done = selected.iter().take_while(|_| goes_on(work)).filter_map(|b| {
        let done = told(b, work.calibrate(b));
        work.session.eta.done(&b.name);
        done
    });
    let done = done.count();
    if is_interrupted(work) {
        return Err(RunError::Interrupted);
    }
    failed(done, selected)
}

fn measure(work: &Work, selected: &[&Benchmark]) -> Conclusion {
    let mut reports: Vec<Report> = Vec::new();
    let mut whole = 0;
    // Gives whether nothing went wrong with it.
    let mut keep = |Measured { report, problems }: Measured| {
        problems.iter().for_each(|e| tell(&report.id, e));
        reports.push(report);
        problems.is_empty()
    };
    for benchmark in selected.iter().take_while(|_| goes_on(work)) {
        let done = match &benchmark.sweep {
            Some(sweep) => work.sweep(benchmark, sweep, &mut keep),
            None => work.measure(benchmark).map(&mut keep),
        };
        whole += usize::from(told(benchmark, done) == Some(true));
        work.session.eta.done(&benchmark.name);
    }
    let (gate, mut problems) = work.conclude(&mut reports);
    let all = failed(whole, selected);
    // The last of them is what this returns, unless there is more to say.
    let last = if all.is_err() { None } else { problems.pop() };
    problems.iter().for_each(tell_error);
    let error = match (all, last) {
        _ if is_interrupted(work) => Some(RunError::Interrupted),
        (Err(some_failed), _) => Some(some_failed),
        (Ok(()), Some(problem)) => Some(problem),
        (Ok(()), None) if gate.passes() => None,
        (Ok(()), None) => Some(RunError::Gate(gate)),
    };
    Conclusion { reports, error }
}

/// Of the selected ones so many went well.
fn failed(done: usize, selected: &[&Benchmark]) -> Result<(), RunError> {
    match selected.len() - done {
        0 => Ok(()),
        failed => Err(RunError::Failed { failed, of: selected.len() }),
    }
}

/// A benchmark that failed keeps no other from running; one that was interrupted does.
fn goes_on(work: &Work) -> bool {
    work.session.stop.forgive_failures();
    !is_interrupted(work)
}

fn is_interrupted(work: &Work) -> bool {
    work.session.stop.reason() == Some(StopReason::Interrupted)
}

/// Gets ready to measure.
fn work<'a>(arguments: &Arguments, plan: &'a Plan, selected: &[&Benchmark], output: Output) -> Work<'a> {
    raise_open_files_limit();
    let stop = stop_on_signals();
    if let ServerSpec::Live { url, way } = &plan.server
        && matches!(way.trust, Trust::Anyone)
        && url.tls
    {
        _ = writeln!(stderr(), "warning: --insecure: anyone can impersonate {url} and read the key and the prompts");
    }
    let baselines = Baselines::new(arguments, plan, store(plan));
    let mut session = Session::new(plan, store(plan), stop);
    session.command = command(arguments);
    session.eta = Rc::new(Eta::of(plan, selected, if arguments.calibrate { 2 } else { 1 }, &store(plan)));
    Work {
        against: plan.against.as_ref().map(|spec| session.beside(spec)),
        session,
        budget: Budget::new(
            plan,
            selected.iter().flat_map(|benchmark| repeat_n(&benchmark.workload.terms, benchmark.parts())),
        ),
        sinks: RefCell::new(Sinks::new(plan.output_format, &baselines.outputs(output))),
        commit: baselines.commit(),
        baselines,
        output,
    }
}

/// Where the files of all runs are.
pub(super) fn store(plan: &Plan) -> Store {
    plan.out.as_ref().map_or_else(Store::find, Store::at)
}

/// Ctrl-C or SIGTERM ends the runs of this process with what they have; the second time, at once.
fn stop_on_signals() -> Stop {
    static STOP: OnceCell<Stop> = OnceCell::new();
    let install = || {
        let stop = Stop::default();
        let ours = stop.clone();
        let handler = move || {
            if ours.reason() == Some(StopReason::Interrupted) {
                std::process::exit(i32::from(EXIT_INTERRUPTED));
            }
            ours.stop(StopReason::Interrupted);
            _ = writeln!(stderr(), "Stopping, and keeping what is complete; interrupt again to exit at once");
        };
        if let Err(e) = ctrlc::set_handler(handler) {
            _ = writeln!(stderr(), "warning: Ctrl-C will lose what is in progress: {e}");
        }
        stop
    };
    STOP.get_or_init(install).clone()
}

fn output(arguments: &Arguments) -> Output {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_terminal = stdout().is_terminal();
    let color = match arguments.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => takes_color(is_terminal, &variable),
    };
    let draws = is_terminal && takes_blocks(&variable);
    Output { style: Style { color, verbose: arguments.verbose, draws }, quiet: arguments.quiet }
}

/// As <https://no-color.org> and <https://bixense.com/clicolors/> have it.
fn takes_color(is_terminal: bool, variable: &dyn Fn(&str) -> String) -> bool {
    let is_forced = |value: String| !value.is_empty() && value != "0";
    match () {
        () if !variable("NO_COLOR").is_empty() => false,
        () if is_forced(variable("CLICOLOR_FORCE")) => true,
        () => is_terminal && variable("CLICOLOR") != "0" && variable("TERM") != "dumb",
    }
}

/// Whether the locale says UTF-8: the first of the three that is set counts.
fn takes_blocks(variable: &dyn Fn(&str) -> String) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable).into_iter().find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    (locale.contains("utf-8") || locale.contains("utf8")) && variable("TERM") != "dumb"
}

/// What a benchmark gave; its error is told, and keeps no other benchmark from running.
fn told<T>(benchmark: &Benchmark, result: Result<T, RunError>) -> Option<T> {
    result.inspect_err(|e| tell(&benchmark.name, e)).ok()
}

fn tell(benchmark: &str, error: &RunError) {
    if let RunError::Missing(errors) = error {
        return errors.iter().for_each(|error| tell(benchmark, error));
    }
    _ = writeln!(stderr(), "error: {benchmark}: {}", visible(&error.to_string()));
}

/// Says what went wrong.
pub(super) fn tell_error(error: &RunError) {
    _ = writeln!(stderr(), "error: {}", visible(&error.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_blocks_are_as_the_environment_says() {
        let table: &[(bool, &[(&str, &str)], bool, bool)] = &[
            (true, &[], true, false),
            (true, &[("LANG", "C.UTF-8")], true, true),
            (true, &[("LANG", "C.UTF-8"), ("LC_ALL", "C")], true, false),
            (true, &[("LC_CTYPE", "de_DE.utf8"), ("TERM", "dumb")], false, false),
            (true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false, false),
            (true, &[("NO_COLOR", "")], true, false),
            (true, &[("CLICOLOR", "0")], false, false),
            (false, &[("CLICOLOR", "1")], false, false),
            (false, &[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, false),
            (false, &[("CLICOLOR_FORCE", "0")], false, false),
        ];
        for (is_terminal, set, color, blocks) in table {
            let variable =
                |name: &str| set.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value).to_owned();
            assert_eq!((takes_color(*is_terminal, &variable), takes_blocks(&variable)), (*color, *blocks), "{set:?}");
        }
    }
}
