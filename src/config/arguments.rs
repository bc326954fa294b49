//! The command line of every bench target: cargo's and criterion's flags, and ours.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    CommandFactory, FromArgMatches, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{ConfigError, Setting, Settings};
use crate::{baseline::Compare, metrics::Metric};

/// How `--list` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// For people.
    #[default]
    Pretty,
    /// `NAME: benchmark` lines and nothing else, for cargo-nextest.
    Terse,
    /// libtest's, which there is not.
    #[value(hide = true)]
    Json,
    /// libtest's, which there is not.
    #[value(hide = true)]
    Junit,
}

/// Flags of libtest's and criterion's that mean nothing here: some are passed over, others are refused with what to use.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Foreign {
    /// Output is never captured.
    #[arg(long, hide = true)]
    show_output: bool,
    /// Unstable options of libtest's.
    #[arg(short = 'Z', hide = true, value_name = "FLAG")]
    unstable: Vec<String>,
    /// Times are what this is about.
    #[arg(long, hide = true)]
    report_time: bool,
    #[arg(long, hide = true, num_args = 0..=1)]
    warm_up_time: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1)]
    measurement_time: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1)]
    profile_time: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1)]
    plotting_backend: Option<Option<String>>,
    #[arg(long, hide = true)]
    quick: bool,
    #[arg(long, hide = true)]
    shuffle: bool,
    #[arg(long, hide = true, num_args = 0..=1)]
    shuffle_seed: Option<Option<String>>,
    #[arg(long, hide = true, num_args = 0..=1)]
    logfile: Option<Option<String>>,
}

impl Foreign {
    fn refused(&self) -> Option<(&'static str, &'static str)> {
        let table = [
            (
                "--warm-up-time",
                self.warm_up_time.is_some(),
                "criterion's flag; use --warmup N to send N requests before the first pass",
            ),
            (
                "--measurement-time",
                self.measurement_time.is_some(),
                "criterion's flag; use --num-prompts N to make passes longer",
            ),
            (
                "--profile-time",
                self.profile_time.is_some(),
                "criterion's flag; there is nothing to profile in this process",
            ),
            (
                "--plotting-backend",
                self.plotting_backend.is_some(),
                "criterion's flag; pages have their own plots, and --noplot turns them off",
            ),
            ("--quick", self.quick, "criterion's flag; use --sample-size 1 for one pass, or --test for a tiny one"),
            ("--shuffle", self.shuffle, "libtest's flag; benchmarks run in the order of the plan"),
            ("--shuffle-seed", self.shuffle_seed.is_some(), "libtest's flag; benchmarks run in the order of the plan"),
            (
                "--logfile",
                self.logfile.is_some(),
                "libtest's flag; use --csv, --history or --save-requests to write files",
            ),
        ];
        table.into_iter().find(|(_, given, _)| *given).map(|(flag, _, why)| (flag, why))
    }
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On terminals.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Measures an LLM API server: requests per minute, token throughput and first-token latency under a fixed-seed workload.
///
/// Every setting has three spellings: the flag --num-prompts, the variable TACHOMETER_NUM_PROMPTS and, in tachometer.toml at
/// the package root, the key num_prompts. A flag wins over a variable, a variable over the file, the file over the default.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cargo bench --bench serving --",
    bin_name = "cargo bench --bench serving --",
    version,
    max_term_width = 100
)]
pub struct Arguments {
    /// Run only benchmarks whose name contains one of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Filters are whole names
    #[arg(long)]
    pub exact: bool,
    /// Leave out benchmarks whose name contains this; may be repeated
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// Print the names of the benchmarks and do nothing else
    #[arg(long)]
    pub list: bool,
    /// How --list prints
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    pub format: ListFormat,
    /// Run each benchmark once, tiny, on the embedded engine, to see that it works
    #[arg(long)]
    pub test: bool,
    /// Measure; cargo bench adds this
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Run only ignored benchmarks: there are none
    #[arg(long, hide = true)]
    pub ignored: bool,
    /// Run ignored benchmarks too: there are none
    #[arg(long, hide = true)]
    pub include_ignored: bool,
    /// Accepted for cargo's sake: output is never captured
    #[arg(long, alias = "no-capture", hide = true)]
    pub nocapture: bool,
    /// Accepted for cargo's sake: benchmarks run one at a time
    #[arg(long, value_name = "N", hide = true)]
    pub test_threads: Option<usize>,
    /// Keep the results under this name too, and compare with what it held before
    #[arg(long, value_name = "NAME", help_heading = "Comparison", value_parser = new_name)]
    pub save_baseline: Option<String>,
    /// Compare with the baseline of this name, which must exist; commit:REV is the newest run of that commit, or of its nearest ancestor, in the history
    #[arg(long, value_name = "NAME", help_heading = "Comparison", value_parser = known_name, conflicts_with_all = ["save_baseline", "baseline_lenient"])]
    pub baseline: Option<String>,
    /// Like --baseline, but make no comparison if there is no such baseline
    #[arg(long, value_name = "NAME", help_heading = "Comparison", value_parser = known_name, conflicts_with = "save_baseline")]
    pub baseline_lenient: Option<String>,
    /// Measure nothing: take the results of the baseline of this name, and compare them with --baseline
    #[arg(long, value_name = "NAME", help_heading = "Comparison", value_parser = known_name, requires = "baseline")]
    pub load_baseline: Option<String>,
    /// Do not keep the results of this run, not even in the history; it is still compared like any other
    #[arg(long, help_heading = "Comparison", conflicts_with = "save_baseline")]
    pub discard_baseline: bool,
    /// Run every pass twice to find how much identical runs differ here; later verdicts never claim a smaller change
    #[arg(long, help_heading = "Comparison", conflicts_with_all = ["save_baseline", "baseline", "baseline_lenient", "load_baseline", "discard_baseline"])]
    pub calibrate: bool,
    /// List the history of a metric (the first gated one if none is named), one line per commit; measure nothing
    #[arg(long, value_name = "METRIC", help_heading = "Comparison", num_args = 0..=1, require_equals = true)]
    pub show_history: Option<Option<Metric>>,
    /// Write the history for Apache Otava to this folder, one CSV per benchmark and an otava.yaml; measure nothing
    #[arg(long, value_name = "DIR", help_heading = "Comparison", conflicts_with_all = ["show_history", "report_only", "test"])]
    pub history_csv: Option<PathBuf>,
    /// Write no pages with plots
    #[arg(long)]
    pub noplot: bool,
    /// Redraw the pages of the last run of each benchmark from its files; measure nothing
    #[arg(long, conflicts_with_all = ["show_history", "noplot", "calibrate", "load_baseline", "discard_baseline", "test"])]
    pub report_only: bool,
    /// Put together what shards have kept in this folder of a run that lost shard 0, as partial results; measure nothing
    #[arg(long, value_name = "DIR", help_heading = "Load", conflicts_with_all = ["show_history", "history_csv", "report_only", "calibrate", "test"])]
    pub merge: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// No progress on stderr
    #[arg(long, short)]
    pub quiet: bool,
    /// Also print what each pass measured
    #[arg(long, short)]
    pub verbose: bool,
    /// Configuration file [default: tachometer.toml at the package root]
    #[arg(long, env = "TACHOMETER_CONFIG", value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// What other harnesses know.
    #[command(flatten)]
    pub foreign: Foreign,
    /// Everything that can also stand in the environment or the file.
    #[command(flatten)]
    pub settings: Settings,
    /// How the process was called, and its flags as they were given; empty where they are somebody else's.
    #[arg(skip)]
    pub given: Vec<String>,
}

fn given(called: String) -> Vec<String> {
    let flags = std::env::args_os().skip(1).map(|flag| flag.to_string_lossy().into_owned());
    std::iter::once(called).chain(flags).collect()
}

impl Arguments {
    /// Of this process's command line and environment. A load that a flag names stands in place of one that a variable names.
    ///
    /// # Errors
    /// What clap says, help and version among it.
    pub fn of_this_process() -> Result<Self, clap::Error> {
        let mut arguments = Self::of(Self::definition(), std::env::args_os())?;
        arguments.given = given(format!("cargo bench --bench {} --", target_name()));
        Ok(arguments)
    }

    /// Of the program `tachometer`, which no cargo calls: without `--test` it measures.
    ///
    /// # Errors
    /// As [`Arguments::of_this_process`].
    pub fn of_this_program() -> Result<Self, clap::Error> {
        let command = Self::definition().name("tachometer").bin_name("tachometer");
        let mut arguments = Self::of(command, std::env::args_os())?;
        arguments.bench = true;
        arguments.given = given("tachometer".to_owned());
        Ok(arguments)
    }

    /// Of environment variables and these flags alone, to measure: for a process whose own flags are another harness's.
    ///
    /// # Errors
    /// As [`Arguments::of_this_process`].
    pub fn of_variables(flags: &[&str]) -> Result<Self, clap::Error> {
        let all = ["tachometer", "--bench"].iter().chain(flags);
        Self::of(Self::definition(), all.map(OsString::from))
    }

    fn of(mut command: clap::Command, all: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command.try_get_matches_from_mut(all);
        Self::of_matches(&matches.map_err(|e| in_words(e, &mut command))?)
    }

    /// The command line, with the variable and the default of each setting.
    pub fn definition() -> clap::Command {
        let called = format!("cargo bench --bench {} --", target_name());
        Self::command().name(called.clone()).bin_name(called).mut_args(|argument| {
            match Setting::named(argument.get_id().as_str()) {
                None => argument,
                Some(setting) => {
                    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                    argument.env(setting.variable()).help(format!("{help} [default: {}]", setting.default()))
                }
            }
        })
    }

    fn of_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        let given = |name, by| matches.value_source(name) == Some(by);
        // A load that a flag names stands in place of those that variables name, of any kind.
        if ["concurrency", "request_rate", "load"].iter().any(|name| given(name, ValueSource::CommandLine)) {
            let settings = &mut cli.settings;
            let by_variable = |name| given(name, ValueSource::EnvVariable);
            settings.concurrency.take_if(|_| by_variable("concurrency"));
            settings.request_rate.take_if(|_| by_variable("request_rate"));
            settings.load.take_if(|_| by_variable("load"));
        }
        Ok(cli)
    }

    /// Refuses what other harnesses know and this one does not.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with what to use instead.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some((flag, why)) = self.foreign.refused() {
            return Err(ConfigError::value(flag, why));
        }
        match self.format {
            ListFormat::Pretty | ListFormat::Terse => Ok(()),
            ListFormat::Json | ListFormat::Junit => {
                let why =
                    "libtest's json and junit are not supported: use --output-format json for one report per line";
                Err(ConfigError::value("--format", why))
            }
        }
    }

    /// Whether to measure: `cargo bench` says so with `--bench`, and `--test` takes it back.
    pub fn measures(&self) -> bool {
        self.bench && !self.test
    }

    /// What a run is compared with.
    pub fn compare(&self) -> Compare {
        match (&self.baseline, self.baseline_lenient.as_ref().or(self.save_baseline.as_ref())) {
            (Some(name), _) => Compare::Named(name.clone()),
            (None, Some(name)) => Compare::Lenient(name.clone()),
            (None, None) => Compare::LastRun,
        }
    }

    /// Whether a benchmark of that name was asked for.
    pub fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        !self.ignored && (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }
}

/// What others call a flag, and what it is here.
const KNOWN_ELSEWHERE: &[(&[&str], &str)] = &[
    (&["passes", "samples", "runs", "repeat", "iterations"], "use --sample-size N to make N passes"),
    (
        &["max-seconds", "time", "benchmark-duration", "max-duration"],
        "use --duration TIME, such as 60s, to say how long a pass lasts",
    ),
    (&["requests", "num-requests", "n", "max-requests"], "use --num-prompts N to send N prompts per pass"),
    (&["clients", "max-concurrency", "parallel", "users", "streams"], "use --concurrency N to send from N clients"),
    (&["rate", "qps", "rps"], "use --request-rate RATE to send RATE requests per second"),
    (&["url", "base-url", "host", "port", "target"], "use --server URL"),
    (&["backend", "endpoint", "endpoint-type", "protocol"], "use --api NAME to choose the API"),
    (&["api-key", "key", "token"], "use --api-key-env NAME or --api-key-file PATH, which keep it out of process lists"),
    (&["dataset-path", "dataset-name", "input-file", "data"], "use --dataset PATH for the prompts"),
    (&["streaming"], "use --stream true"),
    (&["output", "output-dir", "artifact-dir", "result-dir"], "use --out DIR for the folder of all files"),
    (
        &["max-output-tokens", "output-len", "output-tokens-mean"],
        "use --max-tokens N to ask for N tokens with every prompt",
    ),
    (
        &["slo", "sla", "objectives", "threshold", "thresholds"],
        "use --objective 'ttft_p99 < 300 ms' for limits on the server, and --goodput 'ttft < 300 ms' for limits on a request",
    ),
    (&["threads", "workers"], "use --client-threads N to set the number of threads"),
];

/// What clap says, in the words of people: of numbers, and of flags that others have.
fn in_words(error: clap::Error, command: &mut clap::Command) -> clap::Error {
    let text = error.to_string();
    let said = text.strip_prefix("error: ").unwrap_or(&text);
    let said = match said.split_once("\n\n") {
        Some((said, _)) => said,
        None => said.trim_end(),
    };
    match error.kind() {
        ErrorKind::ValueValidation => {
            let words = [
                ("invalid digit found in string", "it is not a whole number"),
                ("number would be negative", "it is not a whole number"),
                ("invalid float literal", "it is not a number"),
                ("cannot parse integer from empty string", "it is empty"),
                ("cannot parse float from empty string", "it is empty"),
            ];
            let found = words.iter().find(|(clap, _)| said.contains(clap));
            found.map_or(error, |(clap, ours)| command.error(ErrorKind::ValueValidation, said.replace(clap, ours)))
        }
        ErrorKind::UnknownArgument => {
            let flag = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::String(flag)) => flag.trim_start_matches('-').to_owned(),
                _ => return error,
            };
            let found = KNOWN_ELSEWHERE.iter().find(|(names, _)| names.contains(&flag.as_str()));
            found.map_or(error, |(_, ours)| {
                command.error(ErrorKind::UnknownArgument, format!("there is no --{flag}: {ours}"))
            })
        }
        _ => error,
    }
}

/// The name of the target that runs, which cargo puts before a hash.
pub(crate) fn target_name() -> String {
    let executable = std::env::current_exe().unwrap_or_default();
    let stem = executable.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => name.to_owned(),
        _ if stem.is_empty() => "serving".to_owned(),
        _ => stem,
    }
}

const TAKEN: [&str; 8] = ["new", "base", "against", "change", "report", "partial", "calibration.json", "report.json"];

/// The name of a baseline to write.
fn new_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        // Slots of the run itself, other files beside them, and folders of criterion's; some file systems know no capitals.
        taken if TAKEN.contains(&taken.to_ascii_lowercase().as_str()) => {
            Err("that name is taken by the harness: choose another".to_owned())
        }
        name if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) => {
            Err("a name is made of letters, digits, `-`, `_` and `.`, and does not begin with `.`".to_owned())
        }
        name => Ok(name.to_owned()),
    }
}

/// The name of a baseline to read: `new` is the last run, `base` the one before.
fn known_name(name: &str) -> Result<String, String> {
    match name {
        "new" | "base" => Ok(name.to_owned()),
        commit if commit.strip_prefix("commit:").is_some_and(|revision| !revision.is_empty()) => Ok(name.to_owned()),
        name => new_name(name),
    }
}

#[cfg(test)]
impl Arguments {
    /// The command line alone, whatever is configured where the tests run.
    pub(super) fn try_parse_without_environment(flags: &[&str]) -> Result<Self, clap::Error> {
        let command = Self::command().mut_args(|argument| argument.env(None::<&'static str>));
        Self::from_arg_matches(&command.try_get_matches_from(std::iter::once(&"bench").chain(flags))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let table: &[(&[&str], &[&str])] = &[
            (&[], &["sharegpt/c8", "sharegpt/c64"]),
            (&["c8"], &["sharegpt/c8"]),
            (&["sharegpt/c64", "c8"], &["sharegpt/c8", "sharegpt/c64"]),
            (&["--exact", "sharegpt/c8"], &["sharegpt/c8"]),
            (&["--exact", "sharegpt"], &[]),
            (&["--skip", "c8"], &["sharegpt/c64"]),
            (&["--ignored"], &[]),
            (&["--include-ignored"], &["sharegpt/c8", "sharegpt/c64"]),
        ];
        for (flags, expected) in table {
            let cli = Arguments::try_parse_without_environment(flags).unwrap();
            let selected: Vec<&str> = ["sharegpt/c8", "sharegpt/c64"].into_iter().filter(|n| cli.selects(n)).collect();
            assert_eq!(selected, *expected, "{flags:?}");
        }
    }

    #[test]
    fn flags_of_other_harnesses_are_accepted_or_refused_by_name() {
        for accepted in [&["--show-output"][..], &["-Z", "unstable-options", "--report-time"], &["--format", "terse"]] {
            assert!(Arguments::try_parse_without_environment(accepted).unwrap().check().is_ok(), "{accepted:?}");
        }
        for (refused, expected) in [
            (&["--warm-up-time", "3"][..], "--warm-up-time: criterion's flag; use --warmup N"),
            (&["--quick"], "--quick: criterion's"),
            (&["--shuffle"], "--shuffle: libtest's"),
            (&["--logfile", "x"], "--logfile: libtest's"),
            (&["--format", "json"], "--format: libtest's json and junit are not supported"),
        ] {
            let message = Arguments::try_parse_without_environment(refused).unwrap().check().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{refused:?}: {message}");
        }
    }

    #[test]
    fn a_run_that_is_kept_nowhere_can_be_compared_with_any() {
        let parse = |flags: &[&str]| Arguments::try_parse_without_environment(flags);
        let cli = parse(&["--baseline", "main", "--discard-baseline"]).unwrap();
        assert!(cli.discard_baseline && cli.compare() == Compare::Named("main".to_owned()));
        assert!(parse(&["--save-baseline", "main", "--discard-baseline"]).is_err());
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::definition().debug_assert();
    }
}
