//! One benchmark, from prompts to its report.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    ops::Range,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    RunError,
    session::{Server, Session, warmup_sampling},
};
use crate::{
    baseline::{Commit, Host, StoreError},
    client::{Record, RequestWriter},
    config::Benchmark,
    dataset::{Digest, Workload},
    load::{FailureBudget, Load, LoadPoint, Pass, PassRecords, Progress, StopReason, arrivals_ns, run_pass},
    metrics::{PassMetrics, Steady, count_output_tokens},
    report::{Partial, Report, SCHEMA_VERSION, ServerReport, Style, WorkloadReport, append_requests},
    stats::{Estimate, estimates, estimates_within},
};

/// How results are shown.
#[derive(Clone, Copy)]
pub struct Output {
    pub style: Style,
    pub quiet: bool,
}

impl Output {
    /// A line on stderr about what happens now.
    pub fn status(self, line: &str) {
        if !self.quiet {
            // With stderr closed there is nobody to tell.
            _ = writeln!(stderr(), "{line}");
        }
    }
}

/// A benchmark that is ready to run its passes: its prompts are drawn, its server has answered.
pub struct Ready<'a> {
    session: &'a Session<'a>,
    benchmark: &'a Benchmark,
    output: Output,
    first: Workload,
    digest: Digest,
    server: Server,
}

/// What some passes gave.
pub struct Passes {
    pub passes: Vec<PassMetrics>,
    /// Of the last pass.
    records: Vec<Record>,
    /// Why the last pass ended early, if so.
    pub stopped: Option<StopReason>,
    /// Why the lines of requests could not be kept, if so: no reason to lose the rest.
    pub unsaved: Option<StoreError>,
}

impl<'a> Ready<'a> {
    /// Draws the first pass's prompts and asks the server for its model.
    pub fn new(session: &'a Session, benchmark: &'a Benchmark, output: Output) -> Result<Self, RunError> {
        let Benchmark { name, workload: spec, .. } = benchmark;
        output.status(&format!("Benchmarking {name}: drawing {} prompts from {}", spec.num_prompts, spec.dataset));
        let first = session.workload(spec, 0)?;
        let digest = first.digest(&spec.sampling);
        Ok(Self {
            session,
            benchmark,
            output,
            first,
            digest,
            server: session.server(spec, |line| output.status(line))?,
        })
    }

    /// Sends the requests before the first pass.
    pub fn warm_up(&self) -> Result<(), RunError> {
        let Benchmark { name, workload: spec, load } = self.benchmark;
        let requests = spec.warmup_at(load);
        if requests == 0 {
            return Ok(());
        }
        self.output.status(&format!("Benchmarking {name}: warming up with {requests} requests"));
        let prompts = self.session.warmup(spec, &self.first, requests)?;
        let workload = Workload { seed: !spec.seed, prompts };
        let mut warm = self.benchmark.clone();
        warm.workload.sampling = warmup_sampling(&spec.sampling);
        warm.load = LoadPoint::Closed { concurrency: load.connections(requests) };
        let progress = Progress::new("warm-up", requests, true);
        let prefix = request_id_prefix("warmup");
        // The server may take a few requests to come to itself.
        warm.workload.max_failures = FailureBudget::Share(1.0);
        let PassRecords { records, stopped, .. } =
            send(self.session, &warm, &self.server, &workload, progress, &prefix)?;
        if stopped.is_some() {
            return Err(RunError::Interrupted);
        }
        match records.iter().find_map(|record: &Record| record.outcome.as_ref().err()) {
            Some(failure) if records.iter().all(|record| !record.is_completed()) => {
                Err(RunError::Warmup { requests, class: failure.class.to_string(), message: failure.message.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Runs the passes of these numbers, of so many in all. With a calibration's second half the numbers go on, and the
    /// seeds begin anew.
    pub fn run(&self, numbers: Range<usize>, of: usize) -> Result<Passes, RunError> {
        let Benchmark { name, workload: spec, load } = self.benchmark;
        let mut passes = Vec::with_capacity(numbers.len());
        let mut last = Vec::new();
        let (mut stopped, mut unsaved) = (None, None);
        for number in numbers {
            let draw = number % spec.sample_size;
            let workload = if draw == 0 { self.first.clone() } else { self.session.workload(spec, draw)? };
            let title = format!("{name}: pass {}/{of}", number + 1);
            if !stderr().is_terminal() {
                self.output.status(&format!("Benchmarking {title}"));
            }
            let progress = Progress::new(&title, workload.prompts.len(), self.output.quiet);
            let started_at = timestamp();
            let prefix = request_id_prefix(&format!("p{number}"));
            let mut run = send(self.session, self.benchmark, &self.server, &workload, progress, &prefix)?;
            stopped = run.stopped;
            let tokenizer = self.session.tokenizer(spec.tokenizer.as_ref())?;
            count_output_tokens(&mut run.records, &tokenizer).map_err(RunError::Count)?;
            if let Some(path) = &self.session.plan.save_requests {
                unsaved = append_requests(path, name, number, &prefix, &run.records).err().or(unsaved);
            }
            let mut pass = PassMetrics::of(workload.seed, started_at, &run.records, run.connections, run.client);
            pass.steady = Steady::of(&run.records, load.concurrency());
            pass.digest = workload.digest(&spec.sampling).to_string();
            match (pass.completed, stopped) {
                // The passes before it have theirs.
                (0, Some(StopReason::Interrupted)) => {}
                (0, Some(StopReason::Failures)) if !passes.is_empty() => {}
                (0, _) => return Err(all_failed(number, &pass)),
                _ => {
                    passes.push(pass);
                    last = run.records;
                }
            }
            if stopped.is_some() {
                break;
            }
        }
        Ok(Passes { passes, records: last, stopped, unsaved })
    }

    /// Puts passes into a report.
    pub fn report(&self, run: Passes, commit: Option<Commit>) -> Report {
        let Benchmark { name, workload: spec, load } = self.benchmark;
        let sampling = &spec.sampling;
        let level = self.session.plan.confidence_level;
        // A pass that was cut short is shown, but estimates rest on whole ones, where there are any.
        let whole = run.passes.len() - usize::from(run.stopped.is_some() && run.passes.len() > 1);
        let estimates: std::collections::BTreeMap<String, Estimate> = match &run.passes[..whole] {
            [pass] if run.passes.len() > 1 => estimates_within(pass, &[], level),
            [pass] => estimates_within(pass, &run.records, level),
            passes => estimates(passes, level),
        };
        Report {
            schema_version: SCHEMA_VERSION,
            id: name.clone(),
            tachometer_version: env!("CARGO_PKG_VERSION").to_owned(),
            workload: WorkloadReport {
                name: spec.name.clone(),
                digest: self.digest.to_string(),
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
                warmup: spec.warmup_at(load),
            },
            load: load.clone(),
            server: ServerReport {
                url: self.server.target.url.to_string(),
                model: self.server.model.clone(),
                embedded: self.server.embedded,
                facts: self.session.facts(),
            },
            commit,
            host: Host::this(),
            started_at: run.passes.first().map(|pass| pass.started_at.clone()).unwrap_or_default(),
            estimates,
            passes: run.passes,
            comparison: None,
            partial: run.stopped.map(|why| Partial { why, passes_wanted: spec.sample_size }),
        }
    }
}
/// Runs a tiny benchmark on the embedded engine and checks what it can know: that every request completes, with the tokens
/// that were asked for. Writes no files.
pub fn smoke_test(session: &Session, benchmark: &Benchmark) -> Result<(), RunError> {
    let Benchmark { name, workload: spec, .. } = benchmark;
    _ = writeln!(stdout(), "Testing {name}");
    let workload = session.workload(spec, 0)?;
    let server = session.server(spec, |_| {})?;
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
        load: load(&benchmark.load, workload),
        threads: session.plan.client_threads,
        request_id_prefix: request_id_prefix.into(),
        retries: benchmark.workload.retries,
        max_failures: Some(benchmark.workload.max_failures.of(workload.prompts.len())),
        stop: session.stop.clone(),
        progress: progress.clone(),
    };
    let run = run_pass(&pass);
    progress.finish();
    run.map_err(|failure| RunError::Connect(failure.message))
}

/// A load point with the times of one pass's arrivals, which its seed decides.
fn load(point: &LoadPoint, workload: &Workload) -> Load {
    let prompts = workload.prompts.len();
    match *point {
        LoadPoint::Closed { concurrency } => Load::Closed { concurrency },
        LoadPoint::Open { request_rate, arrival, burstiness, max_in_flight } => Load::Open {
            arrivals_ns: arrivals_ns(request_rate, arrival, burstiness, prompts, workload.seed).into(),
            connections: point.connections(prompts),
            max_in_flight,
        },
    }
}

fn all_failed(number: usize, pass: &PassMetrics) -> RunError {
    RunError::AllFailed { pass: number, requests: pass.failed, failures: failures(pass) }
}

/// Each class with its count and one example.
pub fn failures(pass: &PassMetrics) -> String {
    let example = |class: &String| pass.failure_examples.get(class).cloned().unwrap_or_default();
    let failures: Vec<String> =
        pass.failures.iter().map(|(class, n)| format!("{n} {class}: {}", example(class))).collect();
    failures.join("; ")
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
