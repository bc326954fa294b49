//! The command line of every bench target: cargo's and criterion's flags, and ours.

use std::path::PathBuf;

use clap::Parser;

use super::Settings;

/// How `--list` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// For people.
    #[default]
    Pretty,
    /// `NAME: benchmark` lines and nothing else, for cargo-nextest.
    Terse,
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
pub struct Cli {
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
    /// Everything that can also stand in the environment or the file.
    #[command(flatten)]
    pub settings: Settings,
}

impl Cli {
    /// Whether to measure: `cargo bench` says so with `--bench`, and `--test` takes it back.
    pub fn measures(&self) -> bool {
        self.bench && !self.test
    }

    /// Whether a benchmark of that name was asked for.
    pub fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        !self.ignored && (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }
}

#[cfg(test)]
impl Cli {
    /// The command line alone, whatever is configured where the tests run.
    pub(super) fn try_parse_without_environment(flags: &[&str]) -> Result<Self, clap::Error> {
        use clap::{CommandFactory, FromArgMatches};
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
            let cli = Cli::try_parse_without_environment(flags).unwrap();
            let selected: Vec<&str> = ["sharegpt/c8", "sharegpt/c64"].into_iter().filter(|n| cli.selects(n)).collect();
            assert_eq!(selected, *expected, "{flags:?}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
