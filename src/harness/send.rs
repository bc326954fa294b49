//! Sends the prompts of a pass, or a part of them.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    RunError,
    progress::Progress,
    session::{Server, Session},
};
use crate::{
    client::RequestWriter,
    config::Benchmark,
    dataset::{HistoryFrom, Prompts, Sequence},
    load::{FailureLimit, Lasts, Pass, PassRecords, Share, Start, Stop, run_pass},
};

/// Which part of a pass is sent, and what begins and ends it.
pub struct Part {
    pub share: Share,
    pub start: Arc<dyn Start>,
    pub stop: Stop,
}

impl Part {
    /// All of it, at once.
    pub fn whole(session: &Session) -> Self {
        Self { share: Share::default(), start: Arc::new(()), stop: session.stop.clone() }
    }
}

/// Sends a pass's prompts.
pub(super) fn send(
    session: &Session,
    benchmark: &Benchmark,
    server: &Server,
    workload: &Prompts,
    progress: Progress,
    request_id_prefix: &str,
    part: Part,
) -> Result<PassRecords, RunError> {
    let sampling = &benchmark.workload.sampling;
    let progress = Arc::new(progress);
    let sequence = Sequence::from(workload.prompts.clone());
    let (prompts, conversations, has_turns) = (sequence.len(), sequence.conversations(), sequence.has_turns());
    let sequence = if benchmark.workload.history_from == HistoryFrom::Server { sequence.live() } else { sequence };
    let duration = benchmark.workload.duration;
    // `None` where their number hangs on the server.
    let begun = match duration {
        Some(time) => benchmark.load.shape().requests_in(time.as_secs_f64()),
        None => Some(conversations),
    };
    let Part { share, start, stop } = part;
    let own_turns = |conversations: usize| -> usize {
        (0..share.count(conversations)).map(|i| sequence.turns(share.position(i)).len()).sum()
    };
    let requests = match duration {
        None if share.of == 1 => Some(prompts),
        None => Some(own_turns(conversations)),
        Some(_) => begun.filter(|_| !has_turns).map(|begun| share.count(begun)),
    };
    let schedule = benchmark.load.schedule(begun.unwrap_or(conversations), &sequence, workload.seed);
    let pass = Pass {
        schedule,
        target: server.target.clone(),
        writer: Arc::new(RequestWriter::new(&server.target.url, &server.model, sampling, &server.headers)),
        sampling: Arc::new(sampling.clone()),
        prompts: sequence,
        lasts: duration.map(|time| Lasts::new(time, conversations, workload.seed)),
        threads: session.plan.client_threads,
        request_id_prefix: request_id_prefix.into(),
        retries: benchmark.workload.retries,
        failures: FailureLimit::new(benchmark.workload.max_failures, requests),
        stop,
        share,
        start,
        observer: progress.clone(),
    };
    let run = run_pass(&pass);
    progress.finish();
    run.map_err(|failure| RunError::Connect(failure.message))
}

/// RFC 3339, to the millisecond.
pub(super) fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// What all request ids of a pass begin with: unlike any other run's, so that a server's log can be joined.
pub(super) fn request_id_prefix(pass: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("tachometer-{:x}-{:x}-{pass}", since.as_millis(), std::process::id())
}
