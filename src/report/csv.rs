//! The CSV: a row a pass, appended under a file lock, the header once.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{output::warn, sink::*};
use crate::{
    files::{FileError, append},
    metrics::{Distribution, Metric, PassMetrics, Point, Quantity},
    run::Report,
};

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

struct Csv {
    path: PathBuf,
    format: CsvFormat,
}

/// A row a pass, as benchmarks end.
pub(super) fn sink(outputs: &Outputs) -> Option<Box<dyn Sink>> {
    Some(Box::new(Csv { path: outputs.csv.clone()?, format: outputs.csv_format }))
}

impl Sink for Csv {
    fn benchmark(&mut self, measured: &Measured) -> Result<(), SinkError> {
        self.beside(measured.report)
    }

    fn beside(&mut self, report: &Report) -> Result<(), SinkError> {
        if let Some(begun) = append_csv(&self.path, self.format, report)? {
            let (path, begun) = (self.path.display(), begun.display());
            warn(format!("{path} has other columns than this version and --csv-format write: the rows go to {begun}"));
        }
        Ok(())
    }
}

/// Appends a benchmark's passes. A file with other columns is left alone: the rows go into the next one beside it, `x.2.csv` for
/// `x.csv`, and so on. Gives the file that was begun so, if one was.
///
/// # Errors
/// Where it can't be written.
pub fn append_csv(path: &Path, format: CsvFormat, report: &Report) -> Result<Option<PathBuf>, FileError> {
    let rows = rows(format, report);
    let mut number = 1;
    loop {
        let (mut has_other_columns, mut is_new) = (false, false);
        let file = beside(path, number);
        let appended = append(&file, |file, is_empty| {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let mut rows = rows.iter();
            let Some(header) = rows.next() else { return Ok(Vec::new()) };
            is_new = is_empty;
            match is_empty {
                true => writer.write_record(header)?,
                false => {
                    has_other_columns = !has_header(file, header)?;
                    if has_other_columns {
                        return Ok(Vec::new());
                    }
                }
            }
            rows.try_for_each(|row| writer.write_record(row))?;
            writer.into_inner().map_err(|e| io::Error::other(e.to_string()))
        });
        match has_other_columns {
            true => number += 1,
            false => return appended.map(|()| Some(file).filter(|_| is_new && number > 1)),
        }
    }
}

/// The file itself, and those that come after it.
fn beside(path: &Path, number: usize) -> PathBuf {
    match (number, path.extension()) {
        (1, _) => path.to_owned(),
        (_, Some(extension)) => path.with_extension(format!("{number}.{}", extension.to_string_lossy())),
        (_, None) => path.with_extension(number.to_string()),
    }
}

fn has_header(file: &mut File, columns: &[String]) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    Ok(reader.headers()?.iter().eq(columns))
}

/// The header, and a row a pass.
fn rows(format: CsvFormat, report: &Report) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (i, pass) in report.passes.iter().enumerate() {
        let (header, row) = match format {
            CsvFormat::Tachometer => fields(report, i, pass).into_iter().unzip(),
            CsvFormat::Lmdeploy => (LMDEPLOY_COLUMNS.map(str::to_owned).into(), lmdeploy_row(report, pass).into()),
        };
        if rows.is_empty() {
            rows.push(header);
        }
        rows.push(row);
    }
    rows
}

/// Columns and their values; one that was not measured is empty.
fn fields(report: &Report, i: usize, pass: &PassMetrics) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut put = |column: &str, value: String| fields.push((column.to_owned(), value));
    let text = |value: Option<String>| value.unwrap_or_default();
    let load = report.load.shape();
    let concurrency = load.concurrency().or(load.max_in_flight()).map(|n| n.to_string());
    let request_rate = load.request_rate().map(|rate| rate.to_string());
    put("benchmark", report.id.clone());
    put("pass", i.to_string());
    put("concurrency", text(concurrency));
    put("request_rate", text(request_rate));
    put("num_prompts", sent(report, pass).to_string());
    put("completed", pass.completed.to_string());
    put("failed", pass.failed.to_string());
    put("prompt_tokens", pass.prompt_tokens.to_string());
    put("completion_tokens", pass.output_tokens.to_string());
    for quantity in Quantity::all().filter(|quantity| quantity.at(Point::P50).is_some()) {
        let distribution = quantity.distribution(pass);
        let mut of = |point: &str, value: Option<f64>| {
            put(&format!("{}_{point}_{}", quantity.name, quantity.unit), text(value.map(six_digits)));
        };
        of("min", distribution.map(|d| d.min));
        of("max", distribution.map(|d| d.max));
        for point in Point::ALL {
            of(point.name(), quantity.at(point).and_then(|metric| metric.of(pass)));
        }
    }
    // What only some runs measure would be an empty column in all others.
    for metric in Metric::all().filter(|metric| metric.point().is_none() && !metric.quantity().is_rare()) {
        put(metric.quantity().name, text(metric.of(pass).map(six_digits)));
    }
    put("rps", six_digits(pass.rps));
    put("duration_s", six_digits(pass.duration_s));
    put("seed", pass.seed.to_string());
    put("commit", text(report.commit.as_ref().map(|commit| commit.sha.clone())));
    put("started_at", pass.started_at.clone());
    put("model", report.server.model.clone());
    put("server", report.server.name.clone().unwrap_or_else(|| report.server.url.clone()));
    put("run_id", report.run_id.clone());
    put("client_cpu_share", text(pass.client_cpu_share().map(six_digits)));
    put("client_share", text(pass.client.share.map(six_digits)));
    fields
}

/// Prompts of a pass: of one that went on for a time, those that were sent.
fn sent(report: &Report, pass: &PassMetrics) -> usize {
    match report.workload.duration_s {
        Some(_) => pass.completed + pass.failed,
        None => report.workload.num_prompts,
    }
}

/// Six significant digits, and all those before the point.
fn six_digits(value: f64) -> String {
    let before_the_point = if value == 0.0 { 1 } else { value.abs().log10().floor() as i32 + 1 };
    format!("{value:.*}", usize::try_from(6 - before_the_point).unwrap_or(0))
}

/// As in the original, what was not measured is `-`.
const NOT_MEASURED: &str = "-";

fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn seconds(latency: Option<Distribution>, of: fn(&Distribution) -> f64) -> String {
    latency.map_or_else(|| NOT_MEASURED.to_owned(), |latency| number(of(&latency)))
}

fn lmdeploy_row(report: &Report, pass: &PassMetrics) -> [String; LMDEPLOY_COLUMNS.len()] {
    // The original's batch is what it sends at once; an open loop has no such number.
    let load = report.load.shape();
    let batch = load.concurrency().or(load.max_in_flight());
    let batch = batch.map_or_else(|| NOT_MEASURED.to_owned(), |batch| batch.to_string());
    [
        batch,
        sent(report, pass).to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::samples::report;

    #[test]
    fn digits() {
        let table = [
            (0.0, "0.00000"),
            (1.0, "1.00000"),
            (0.000_012_345_678, "0.0000123457"),
            (0.1, "0.100000"),
            (12.345_678, "12.3457"),
            (999_999.6, "1000000"),
            (1_234_567.8, "1234568"),
        ];
        for (value, expected) in table {
            assert_eq!(six_digits(value), expected);
        }
    }

    #[test]
    fn other_columns_start_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let write = |format| append_csv(&path, format, &report(|_| ())).unwrap();
        let second = folder.path().join("x.2.csv");
        assert_eq!(write(CsvFormat::Lmdeploy), None);
        let first = std::fs::read(&path).unwrap();
        assert_eq!([write(CsvFormat::Tachometer), write(CsvFormat::Tachometer)], [Some(second.clone()), None]);
        assert_eq!(std::fs::read(&path).unwrap(), first);
        assert_eq!(write(CsvFormat::Lmdeploy), None);
        let lines = |path| std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&path), lines(&second)), (1 + 3 + 3, 1 + 3 + 3));
        assert_eq!(beside(Path::new("a/x"), 3), Path::new("a/x.3"));
        // Nothing to say makes an empty file, which takes any columns.
        let none = report(|r| r["passes"].as_array_mut().unwrap().clear());
        let path = folder.path().join("y.csv");
        assert_eq!(append_csv(&path, CsvFormat::Tachometer, &none).unwrap(), None);
        assert_eq!(append_csv(&path, CsvFormat::Lmdeploy, &report(|_| ())).unwrap(), None);
        assert_eq!(lines(&path), 4);
    }
}
