//! What cargo runs where nothing is to be measured.

use std::{
    io::{Write, stdout},
    time::Duration,
};

use super::{
    RunError,
    progress::{Extent, Progress},
    ready::all_failed,
    send::{Part, request_id_prefix, send, timestamp},
    session::Session,
};
use crate::{
    config::Benchmark,
    metrics::{PassMetrics, count_output_tokens},
};

/// Runs a tiny benchmark on the embedded engine and checks what it can know: that every request completes, with the tokens
/// that were asked for. Writes no files.
pub fn smoke_test(session: &Session, benchmark: &Benchmark) -> Result<(), RunError> {
    let Benchmark { name, workload: spec, .. } = benchmark;
    _ = writeln!(stdout(), "Testing {name}");
    let workload = session.sources.prompts(spec, spec.seed)?;
    let server = session.server(spec, Duration::ZERO, |_| {})?;
    let progress = Progress::new(name, Extent::Requests(workload.prompts.len()), None, true);
    let mut run =
        send(session, benchmark, &server, &workload, progress, &request_id_prefix("test"), Part::whole(session))?;
    let tokenizer = session.sources.tokenizer(None)?;
    count_output_tokens(&mut run.records, &tokenizer).map_err(RunError::Count)?;
    let pass = PassMetrics::of(spec.seed, timestamp(), &run.records, run.connections, run.client.used());
    if pass.failed > 0 || pass.completed < workload.prompts.len() {
        return Err(all_failed(0, &pass));
    }
    if spec.sampling.ignore_eos && pass.output_tokens != pass.requested_tokens {
        let message = format!("got {} of the {} output tokens asked for", pass.output_tokens, pass.requested_tokens);
        return Err(RunError::Test(message));
    }
    _ = writeln!(stdout(), "Success");
    Ok(())
}
