//! How often the verdicts are right: runs benchmarks over and over against servers whose difference is known, and counts.
//!
//! ```sh
//! cargo run --release --example verdicts
//! ```
//!
//! compares the embedded engine with itself, with one whose decode step takes 5 % longer, and with one whose decode step
//! takes 5 % less. Any two servers can be set against each other:
//!
//! ```sh
//! cargo run --release --example verdicts -- --rounds 10 --base '--server http://127.0.0.1:8091' \
//!     --variant 'same=--server http://127.0.0.1:8091' --variant 'other=--server http://127.0.0.1:8092' \
//!     -- --tokenizer tokenizer.json --dataset random:200:100 --num-prompts 100 --sample-size 5
//! ```
//!
//! Each run is a process of its own and takes the same way as `cargo bench --bench serving`.

use std::{
    collections::BTreeMap,
    io::{Write, stderr},
    process::{Command, ExitCode},
};

use clap::Parser;
use tachometer::{metrics::Metric, report_from_json, run::Report, stats::Verdict};

/// Set for the process that is to be the bench target.
const RUN_AS_BENCH: &str = "RUN_AS_BENCH";
const BASELINE: &str = "verdicts";

#[derive(Parser)]
#[command(about = "Counts the verdicts on servers whose difference is known")]
struct Arguments {
    /// How often each variant is compared with a new baseline
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Calibrations before the first round
    #[arg(long, default_value_t = 0)]
    calibrations: usize,
    /// Flags of the runs that are the baseline
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    base: String,
    /// A run to compare with the baseline, as NAME=FLAGS; may be repeated
    #[arg(long, value_name = "NAME=FLAGS", default_values = [
        "same=",
        "step 5 % slower=--engine decode_step_ms=1.05",
        "step 5 % faster=--engine decode_step_ms=0.95",
    ])]
    variant: Vec<String>,
    /// Flags of all runs
    #[arg(last = true)]
    flags: Vec<String>,
}

/// What the comparisons of one benchmark with one variant said.
#[derive(Default)]
struct Tally {
    /// By the gated metrics together: regressed or improved where any of them did.
    verdicts: BTreeMap<String, usize>,
    /// By metric.
    metrics: BTreeMap<String, (BTreeMap<String, usize>, Vec<f64>)>,
}

fn main() -> ExitCode {
    if std::env::var_os(RUN_AS_BENCH).is_some() {
        return tachometer::main();
    }
    match count(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn count(arguments: &Arguments) -> Result<(), String> {
    let target = std::env::temp_dir().join(format!("tachometer-verdicts-{}", std::process::id()));
    let mut tallies: Vec<BTreeMap<String, Tally>> = arguments.variant.iter().map(|_| BTreeMap::new()).collect();
    for _ in 0..arguments.calibrations {
        run(arguments, &target, &arguments.base, &["--calibrate"])?;
    }
    for round in 1..=arguments.rounds {
        run(arguments, &target, &arguments.base, &["--save-baseline", BASELINE])?;
        for (variant, tallies) in arguments.variant.iter().zip(&mut tallies) {
            let (name, flags) = variant.split_once('=').ok_or("a variant is written as NAME=FLAGS")?;
            for report in run(arguments, &target, flags, &["--baseline", BASELINE])? {
                let verdict = tallies.entry(report.id.clone()).or_default().add(&report)?;
                _ = writeln!(stderr(), "round {round}/{}: {name}: {}: {verdict}", arguments.rounds, report.id);
            }
        }
    }
    for (variant, tallies) in arguments.variant.iter().zip(&tallies) {
        let name = variant.split_once('=').map_or("", |(name, _)| name);
        for (benchmark, tally) in tallies {
            println!("{name}: {benchmark}: {}", counts(&tally.verdicts));
            for (metric, (verdicts, changes)) in &tally.metrics {
                let mean = changes.iter().sum::<f64>() / changes.len() as f64 * 100.0;
                println!("    {metric}: {}; mean change {mean:+.2} %", counts(verdicts));
            }
        }
    }
    std::fs::remove_dir_all(&target).map_err(|e| format!("cannot remove {}: {e}", target.display()))
}

impl Tally {
    fn add(&mut self, report: &Report) -> Result<Verdict, String> {
        let comparison = report.comparison.as_ref().ok_or("a run was not compared")?;
        if !comparison.comparable {
            return Err(format!("{}: not comparable: {}", report.id, comparison.why_not.join("; ")));
        }
        let gated: Vec<(Metric, _)> = Metric::all()
            .filter_map(|metric| Some((metric, comparison.metrics.get(&metric)?)))
            .filter(|(_, change)| change.gated)
            .collect();
        for (metric, change) in &gated {
            let (verdicts, changes) = self.metrics.entry(metric.to_string()).or_default();
            *verdicts.entry(change.verdict.to_string()).or_default() += 1;
            changes.push(change.change);
        }
        let any = |verdict| gated.iter().any(|(_, change)| change.verdict == verdict);
        let order = [Verdict::Regressed, Verdict::Improved, Verdict::Inconclusive, Verdict::NoChange];
        let whole = order.into_iter().find(|verdict| any(*verdict)).ok_or("no gated metric was measured")?;
        *self.verdicts.entry(whole.to_string()).or_default() += 1;
        Ok(whole)
    }
}

fn counts(verdicts: &BTreeMap<String, usize>) -> String {
    let of: usize = verdicts.values().sum();
    let each: Vec<String> = verdicts.iter().map(|(verdict, n)| format!("{n} {verdict}")).collect();
    format!("{} of {of} comparisons", each.join(", "))
}

/// Runs the bench target; gives its reports.
fn run(arguments: &Arguments, target: &std::path::Path, flags: &str, baseline: &[&str]) -> Result<Vec<Report>, String> {
    let output = Command::new(std::env::current_exe().map_err(|e| e.to_string())?)
        .args(["--bench", "--quiet", "--output-format", "json"])
        .args(baseline)
        .args(flags.split_whitespace())
        .args(&arguments.flags)
        .env(RUN_AS_BENCH, "1")
        .env("CARGO_TARGET_DIR", target)
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("a run failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    if baseline.contains(&"--calibrate") {
        _ = stderr().write_all(&output.stdout);
        return Ok(Vec::new());
    }
    String::from_utf8_lossy(&output.stdout).lines().map(report_from_json).collect()
}
