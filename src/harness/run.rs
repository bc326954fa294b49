//! One benchmark, from prompts to files.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    RunError,
    session::{Server, Session, warmup_sampling},
};
use crate::{
    baseline::{Commit, Host, Store},
    client::{Record, RequestWriter},
    config::Benchmark,
    dataset::Workload,
    load::{Pass, PassRecords, Progress, run_closed_loop},
    metrics::{PassMetrics, count_output_tokens},
    report::{
        LoadReport, Report, SCHEMA_VERSION, ServerReport, Style, WorkloadReport, append_csv, append_requests,
        print_block,
    },
    stats::estimates,
};

/// How results are shown.
#[derive(Clone, Copy)]
pub struct Output {
    pub style: Style,
    pub quiet: bool,
}

impl Output {
    /// A line on stderr about what happens now.
    fn status(self, line: &str) {
        if !self.quiet {
            // With stderr closed there is nobody to tell.
            _ = writeln!(stderr(), "{line}");
        }
    }
}

/// Measures a benchmark, prints its block and writes its files.
pub fn measure(session: &Session, benchmark: &Benchmark, output: Output) -> Result<(), RunError> {
    let Benchmark { name, workload: spec, concurrency } = benchmark;
    let store = Store::find();
    let plan = session.plan;
    output.status(&format!("Benchmarking {name}: drawing {} prompts from {}", spec.num_prompts, spec.dataset));
    let first = session.workload(spec, 0)?;
    let digest = first.digest(&spec.sampling);
    let server = session.server(spec)?;
    let _lock = store.lock(|| output.status("Waiting for another run, which would disturb this one"))?;

    let warmup = spec.warmup_at(*concurrency);
    warm_up(session, benchmark, &server, &first, output)?;
    let mut passes = Vec::with_capacity(spec.sample_size);
    for number in 0..spec.sample_size {
        let workload = if number == 0 { first.clone() } else { session.workload(spec, number)? };
        let title = format!("{name}: pass {}/{}", number + 1, spec.sample_size);
        if !stderr().is_terminal() {
            output.status(&format!("Benchmarking {title}"));
        }
        let progress = Progress::new(&title, workload.prompts.len(), output.quiet);
        let started_at = timestamp();
        let prefix = request_id_prefix(&format!("p{number}"));
        let mut run = send(session, benchmark, &server, &workload, progress, &prefix)?;
        let tokenizer = session.tokenizer(spec.tokenizer.as_ref())?;
        count_output_tokens(&mut run.records, &tokenizer).map_err(RunError::Count)?;
        if let Some(path) = &plan.save_requests {
            append_requests(path, name, number, &prefix, &run.records)?;
        }
        let pass = PassMetrics::of(workload.seed, started_at, &run.records, run.connections, run.client);
        if pass.completed == 0 {
            return Err(all_failed(number, &pass));
        }
        passes.push(pass);
    }

    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
    let sampling = &spec.sampling;
    let report = Report {
        schema_version: SCHEMA_VERSION,
        id: name.clone(),
        tachometer_version: env!("CARGO_PKG_VERSION").to_owned(),
        workload: WorkloadReport {
            name: spec.name.clone(),
            digest: digest.to_string(),
            dataset: spec.dataset.to_string(),
            sampler: spec.sampler,
            seed: spec.seed,
            num_prompts: spec.num_prompts,
            api: sampling.api,
            stream: sampling.stream,
            ignore_eos: sampling.ignore_eos,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            max_tokens: sampling.max_tokens,
            warmup,
        },
        load: LoadReport::Closed { concurrency: *concurrency },
        server: ServerReport {
            url: server.target.url.to_string(),
            model: server.model,
            embedded: server.embedded,
            facts: session.facts(),
        },
        commit: Commit::of(Path::new(&folder)),
        host: Host::this(),
        started_at: passes.first().map(|pass| pass.started_at.clone()).unwrap_or_default(),
        estimates: estimates(&passes, plan.confidence_level),
        passes,
        comparison: None,
    };
    // The results are on the screen before anything can go wrong with a file.
    print_block(&mut stdout().lock(), &report, output.style).map_err(RunError::Output)?;
    let json = report.to_json().map_err(|e| RunError::Setup(e.to_string()))?;
    store.save_report(name, &json)?;
    append_csv(&plan.csv.clone().unwrap_or_else(|| store.csv()), plan.csv_format, &report)?;
    Ok(())
}

/// Runs a tiny benchmark on the embedded engine and checks what it can know: that every request completes, with the tokens
/// that were asked for. Writes no files.
pub fn smoke_test(session: &Session, benchmark: &Benchmark) -> Result<(), RunError> {
    let Benchmark { name, workload: spec, .. } = benchmark;
    _ = writeln!(stdout(), "Testing {name}");
    let workload = session.workload(spec, 0)?;
    let server = session.server(spec)?;
    let progress = Progress::new(name, workload.prompts.len(), true);
    let mut run = send(session, benchmark, &server, &workload, progress, &request_id_prefix("test"))?;
    let tokenizer = session.tokenizer(None)?;
    count_output_tokens(&mut run.records, &tokenizer).map_err(RunError::Count)?;
    let pass = PassMetrics::of(spec.seed, timestamp(), &run.records, run.connections, run.client);
    if pass.failed > 0 {
        return Err(all_failed(0, &pass));
    }
    if spec.sampling.ignore_eos && pass.output_tokens != pass.requested_tokens {
        let message = format!("{} output tokens came of {} asked for", pass.output_tokens, pass.requested_tokens);
        return Err(RunError::Test(message));
    }
    _ = writeln!(stdout(), "Success");
    Ok(())
}

fn warm_up(
    session: &Session,
    benchmark: &Benchmark,
    server: &Server,
    measured: &Workload,
    output: Output,
) -> Result<(), RunError> {
    let requests = benchmark.workload.warmup_at(benchmark.concurrency);
    if requests == 0 {
        return Ok(());
    }
    output.status(&format!("Benchmarking {}: warming up with {requests} requests", benchmark.name));
    let prompts = session.warmup(&benchmark.workload, measured, requests)?;
    let workload = Workload { seed: !benchmark.workload.seed, prompts };
    let mut warm = benchmark.clone();
    warm.workload.sampling = warmup_sampling(&benchmark.workload.sampling);
    let progress = Progress::new("warm-up", requests, true);
    let PassRecords { records, .. } = send(session, &warm, server, &workload, progress, &request_id_prefix("warmup"))?;
    match records.iter().find_map(|record: &Record| record.outcome.as_ref().err()) {
        Some(failure) if records.iter().all(|record| !record.is_completed()) => {
            Err(RunError::Warmup { requests, class: failure.class.to_string(), message: failure.message.clone() })
        }
        _ => Ok(()),
    }
}

fn send(
    session: &Session,
    benchmark: &Benchmark,
    server: &Server,
    workload: &Workload,
    progress: Progress,
    request_id_prefix: &str,
) -> Result<PassRecords, RunError> {
    let sampling = &benchmark.workload.sampling;
    let progress = Arc::new(progress);
    let pass = Pass {
        target: server.target.clone(),
        writer: Arc::new(RequestWriter::new(&server.target.url, &server.model, sampling, &server.headers)),
        sampling: Arc::new(sampling.clone()),
        prompts: workload.prompts.clone().into(),
        concurrency: benchmark.concurrency,
        threads: session.plan.client_threads,
        request_id_prefix: request_id_prefix.into(),
        progress: progress.clone(),
    };
    let run = run_closed_loop(&pass);
    progress.finish();
    run.map_err(|failure| RunError::Connect(failure.message))
}

fn all_failed(number: usize, pass: &PassMetrics) -> RunError {
    let example = |class: &String| pass.failure_examples.get(class).cloned().unwrap_or_default();
    let failures: Vec<String> =
        pass.failures.iter().map(|(class, n)| format!("{n} {class}: {}", example(class))).collect();
    RunError::AllFailed { pass: number, requests: pass.failed, failures: failures.join("; ") }
}

/// RFC 3339, to the millisecond.
fn timestamp() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.3}")
}

/// What all request ids of a pass begin with: unlike any other run's, so that a server's log can be joined.
fn request_id_prefix(pass: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("tachometer-{:x}-{:x}-{pass}", since.as_millis(), std::process::id())
}
