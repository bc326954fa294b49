//! The CSV: a row a pass, appended under a file lock, the header once.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    path::Path,
};

use crate::{
    files::{FileError, append},
    load::LoadPoint,
    metrics::{Distribution, PassMetrics},
    run::Report,
};

/// Which columns the CSV has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CsvFormat {
    /// All that this tool measures.
    #[default]
    Tachometer,
    /// Header and row of LMDeploy's `profile_restful_api.py` of 2023.
    Lmdeploy,
}

const COLUMNS: [&str; 22] = [
    "benchmark",
    "pass",
    "concurrency",
    "request_rate",
    "num_prompts",
    "completed",
    "failed",
    "prompt_tokens",
    "completion_tokens",
    "ttft_min_s",
    "ttft_max_s",
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p99_s",
    "output_tokens_per_s",
    "total_tokens_per_s",
    "rps",
    "rpm",
    "duration_s",
    "seed",
    "commit",
    "started_at",
];

/// LMDeploy's own header of November 2023; the unbalanced bracket is in the original.
const LMDEPLOY_COLUMNS: [&str; 10] = [
    "batch",
    "num_prompts",
    "prompt_tokens",
    "completion_tokens",
    "1st_token_latency(min)(s)",
    "1st_token_latency(max)(s)",
    "1st_token_latency(ave)(s)",
    "output token thr(tokens/s",
    "total token thr(token/s)",
    "RPM",
];

/// Appends a benchmark's passes.
///
/// # Errors
/// Where the file can't be written, or has other columns than these: nothing is written then.
pub fn append_csv(path: &Path, format: CsvFormat, report: &Report) -> Result<(), FileError> {
    let columns: &[&str] = match format {
        CsvFormat::Tachometer => &COLUMNS,
        CsvFormat::Lmdeploy => &LMDEPLOY_COLUMNS,
    };
    append(path, |file, is_empty| {
        let mut rows = csv::Writer::from_writer(Vec::new());
        match is_empty {
            true => rows.write_record(columns)?,
            false => check_header(file, columns)?,
        }
        for (i, pass) in report.passes.iter().enumerate() {
            match format {
                CsvFormat::Tachometer => rows.write_record(row(report, i, pass))?,
                CsvFormat::Lmdeploy => rows.write_record(lmdeploy_row(report, pass))?,
            }
        }
        rows.into_inner().map_err(|e| io::Error::other(e.to_string()))
    })
}

fn check_header(file: &mut File, columns: &[&str]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.headers()?;
    if header.iter().eq(columns.iter().copied()) {
        return Ok(());
    }
    Err(io::Error::other(
        "it has other columns than this version and --csv-format write: move it, or name another with --csv",
    ))
}

/// As in the original, what was not measured is `-`.
const NOT_MEASURED: &str = "-";

fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn seconds(latency: Option<Distribution>, of: fn(&Distribution) -> f64) -> String {
    latency.map_or_else(|| NOT_MEASURED.to_owned(), |latency| number(of(&latency)))
}

fn row(report: &Report, i: usize, pass: &PassMetrics) -> [String; COLUMNS.len()] {
    let (concurrency, request_rate) = match &report.load {
        LoadPoint::Closed { concurrency } => (concurrency.to_string(), NOT_MEASURED.to_owned()),
        LoadPoint::Open { request_rate, max_in_flight, .. } => {
            (max_in_flight.map_or_else(|| NOT_MEASURED.to_owned(), |most| most.to_string()), request_rate.to_string())
        }
    };
    [
        report.id.clone(),
        i.to_string(),
        concurrency,
        request_rate,
        report.workload.num_prompts.to_string(),
        pass.completed.to_string(),
        pass.failed.to_string(),
        pass.prompt_tokens.to_string(),
        pass.output_tokens.to_string(),
        seconds(pass.ttft_s, |l| l.min),
        seconds(pass.ttft_s, |l| l.max),
        seconds(pass.ttft_s, |l| l.mean),
        seconds(pass.ttft_s, |l| l.p50),
        seconds(pass.ttft_s, |l| l.p99),
        number(pass.output_tokens_per_s),
        number(pass.total_tokens_per_s),
        number(pass.rps),
        number(pass.rpm),
        number(pass.duration_s),
        pass.seed.to_string(),
        report.commit.as_ref().map_or_else(|| NOT_MEASURED.to_owned(), |commit| commit.sha.clone()),
        pass.started_at.clone(),
    ]
}

fn lmdeploy_row(report: &Report, pass: &PassMetrics) -> [String; LMDEPLOY_COLUMNS.len()] {
    // The original's batch is what it sends at once; an open loop has no such number.
    let batch = match &report.load {
        LoadPoint::Closed { concurrency } => concurrency.to_string(),
        LoadPoint::Open { max_in_flight, .. } => {
            max_in_flight.map_or_else(|| NOT_MEASURED.to_owned(), |most| most.to_string())
        }
    };
    [
        batch,
        report.workload.num_prompts.to_string(),
        pass.prompt_tokens.to_string(),
        pass.output_tokens.to_string(),
        seconds(pass.ttft_s, |l| l.min),
        seconds(pass.ttft_s, |l| l.max),
        seconds(pass.ttft_s, |l| l.mean),
        number(pass.output_tokens_per_s),
        number(pass.total_tokens_per_s),
        number(pass.rpm),
    ]
}
