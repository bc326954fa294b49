//! The sinks there are, and those of a run.

use std::{fmt, str::FromStr};

#[cfg(feature = "html")]
use super::html;
use super::{bencher, console, criterion, csv, github, json, markdown, requests, sink::*};
use crate::run::Report;

/// Builds a sink, where the plan wants it.
type IfWanted = fn(&Outputs) -> Option<Box<dyn Sink>>;
/// Builds a sink.
type Always = fn(&Outputs) -> Box<dyn Sink>;

/// What writes files, whatever stdout gets.
const FILES: &[IfWanted] = &[
    requests::sink,
    csv::sink,
    criterion::sink,
    #[cfg(feature = "html")]
    html::sink,
];

/// What stdout gets: the name, what it is, how it is built. The first is the default.
const FORMATS: &[(&str, &str, Always)] = &[
    ("criterion", "for people", console::sink),
    ("bencher", "libtest's lines", bencher::lines),
    ("json", "a report a line", json::sink),
    ("markdown", "tables for a pull request or $GITHUB_STEP_SUMMARY", markdown::sink),
    ("bmf", "Bencher Metric Format", bencher::metric_format),
    ("github", "as criterion, with two files for github-action-benchmark", github::sink),
];

/// What stdout gets: `"json".parse()`, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputFormat(usize);

impl OutputFormat {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..FORMATS.len()).map(Self)
    }

    /// As `--output-format` names it.
    pub fn name(self) -> &'static str {
        FORMATS[self.0].0
    }

    /// What it is, in a few words.
    pub fn help(self) -> &'static str {
        FORMATS[self.0].1
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OutputFormat {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|format| format.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            format!("`{name}` is not a format: use one of {}", names.join(", "))
        })
    }
}

/// The sinks of a run. Each gets everything, whatever became of the others.
#[derive(Default)]
pub struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    /// Files first: a pipe that is closed costs nothing that was measured.
    pub fn new(format: OutputFormat, outputs: &Outputs) -> Self {
        let mut sinks: Vec<Box<dyn Sink>> = FILES.iter().filter_map(|build| build(outputs)).collect();
        sinks.push((FORMATS[format.0].2)(outputs));
        Self(sinks)
    }

    /// Those that draw from what is kept, with nothing on stdout.
    pub fn of_pages(outputs: &Outputs) -> Self {
        #[cfg(feature = "html")]
        return Self(html::sink(outputs).into_iter().collect());
        #[cfg(not(feature = "html"))]
        {
            _ = outputs;
            Self::default()
        }
    }

    /// See [`Sink::pass`]; gives what went wrong, as all of these do.
    pub fn pass(&mut self, pass: &PassSent) -> Vec<SinkError> {
        self.each(|sink| sink.pass(pass))
    }

    /// See [`Sink::benchmark`].
    pub fn benchmark(&mut self, measured: &Measured) -> Vec<SinkError> {
        self.each(|sink| sink.benchmark(measured))
    }

    /// See [`Sink::beside`].
    pub fn beside(&mut self, report: &Report) -> Vec<SinkError> {
        self.each(|sink| sink.beside(report))
    }

    /// See [`Sink::partial`].
    pub fn partial(&mut self, report: &Report) -> Vec<SinkError> {
        self.each(|sink| sink.partial(report))
    }

    /// See [`Sink::history`].
    pub fn history(&mut self, history: &AllRuns) -> Vec<SinkError> {
        self.each(|sink| sink.history(history))
    }

    /// See [`Sink::end`].
    pub fn end(&mut self, reports: &[Report]) -> Vec<SinkError> {
        self.each(|sink| sink.end(reports))
    }

    fn each(&mut self, mut take: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) -> Vec<SinkError> {
        self.0.iter_mut().filter_map(|sink| take(sink.as_mut()).err()).collect()
    }
}
