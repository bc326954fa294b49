//! One trial for each capture in fixtures/streams: the client must make of it what `expect.py` worked out, whether it arrives
//! in the recorded pieces, in single bytes, or all at once.

mod support;

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use libtest_mimic::{Arguments, Failed, Trial};
use once_cell::sync::OnceCell;
use serde_json::{Value, json};
use support::{
    capture::{self, Capture},
    playback::{Cut, play, serve_get},
    ways,
};
use tachometer::{
    client::{
        Client, Headers, Record, RequestWriter, Sampling, ServerError, ServerInfo, ServerUrl, Target, Timeouts, Trust,
    },
    dataset::{Prompt, Tokenizer},
    fixtures,
    internals::PerThread,
    metrics::count_output_tokens,
};
use tokio::net::TcpListener;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let captures = capture::all();
    assert!(captures.len() >= 870, "fixtures/streams is incomplete: {} captures", captures.len());
    let listed = captures.clone();
    let mut trials: Vec<Trial> =
        captures.into_iter().map(|(name, path)| Trial::test(name, move || run(&path))).collect();
    trials.push(Trial::test("docs_list_every_way_to_fail", move || docs_list_every_way(&listed)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn docs_list_every_way(captures: &[(String, PathBuf)]) -> Result<(), Failed> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/responses.md"))?;
    let table = ways::table(captures);
    if docs.contains(&table) {
        return Ok(());
    }
    Err(format!("docs/responses.md has another table than the captures give:\n{table}").into())
}

fn run(path: &Path) -> Result<(), Failed> {
    let capture = Capture::read(path);
    if capture.request.method == "GET" && capture.request.path == "/v1/models" {
        return models(&capture);
    }
    for cut in [Cut::AsRecorded, Cut::SingleBytes, Cut::OnePiece] {
        let got = exchange(&capture, cut)?;
        let mut expected = capture.expect.clone();
        if cut != Cut::AsRecorded {
            expected["first_token_piece"] = Value::Null;
        }
        if got != expected {
            return Err(format!("{cut:?}:\nexpected {expected:#}\n     got {got:#}").into());
        }
    }
    Ok(())
}

/// Sends a prompt to the mock server; gives what came of it in the shape of `expect`.
fn exchange(capture: &Capture, cut: Cut) -> Result<Value, Failed> {
    let sampling = Sampling { api: capture.api(), stream: capture.streams(), ..Sampling::default() };
    // A capture that ends in silence needs a client that gives up; all others end on their own.
    let patience = Duration::from_millis(if capture.response.end == "timeout" { 300 } else { 60_000 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let written_ns = RefCell::new(Vec::new());
    let (record, text) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = Arc::new(target(&listener, patience)?);
        let writer = RequestWriter::new(&target.url, "m", &sampling, &Headers::default());
        let mut client = Client::new(target, Arc::new(writer), 0, PerThread::default());
        let prompt = Prompt::new("Hi", 16);
        let answered = async {
            let record = client.complete(0, &prompt, 16, "test").await;
            let text = client.last_text().to_owned();
            // The server may be waiting for the connection to be closed.
            drop(client);
            (record, text)
        };
        // The server goes on until the client has its answer; it may fail because the client had seen enough and left.
        let played = async {
            _ = play(listener, capture, cut, &written_ns).await;
            std::future::pending().await
        };
        tokio::select! {
            answered = answered => Ok::<_, Failed>(answered),
            () = played => unreachable!("pending"),
        }
    })?;
    described(record, text, &written_ns.into_inner())
}

fn described(record: Record, text: String, written_ns: &[u64]) -> Result<Value, Failed> {
    let mut records = [record];
    count_output_tokens(&mut records, tokenizer()?)?;
    let [record] = records;
    let outcome = match &record.outcome {
        Ok(()) => "completed".to_owned(),
        Err(failure) => failure.class.to_string(),
    };
    let with_text = ["completed", "empty", "truncated", "stream_error", "timeout"].contains(&outcome.as_str());
    if record.is_completed() && record.token_events > 0 {
        assert!(record.sent_ns < record.first_token_ns && record.first_token_ns <= record.last_token_ns);
        assert!(record.last_token_ns.unwrap() <= record.end_ns);
        assert_eq!(record.gaps.len() + 1, record.token_events as usize);
    }
    let piece = record.first_token_ns.and_then(|at_ns| written_ns.iter().rposition(|written| *written <= at_ns));
    Ok(json!({
        "outcome": outcome,
        "text": with_text.then_some(text),
        "finish_reason": record.finish_reason.filter(|_| with_text),
        "token_events": if with_text { record.token_events } else { 0 },
        "output_tokens": record.output.map(|(tokens, _)| tokens),
        "token_source": record.output.map(|(_, source)| source),
        "first_token_piece": piece.filter(|_| with_text),
    }))
}

/// The question for the models, through the client that asks it before a run.
fn models(capture: &Capture) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = target(&listener, Duration::from_secs(60))?;
        tokio::select! {
            asked = async { ServerInfo::ask(&target, &Headers::default()).await } => Ok::<_, Failed>(asked),
            served = serve_get(listener, capture) => Err(format!("the mock server failed: {served:?}").into()),
        }
    })?;
    let got = match asked {
        Ok(info) => json!({"models": info.models}),
        Err(ServerError::Refused { status, .. }) => json!({"status": status}),
        Err(other) => return Err(other.into()),
    };
    if got != capture.expect {
        return Err(format!("expected {:#}\ngot {got:#}", capture.expect).into());
    }
    Ok(())
}

fn target(listener: &TcpListener, total: Duration) -> Result<Target, Failed> {
    let url = ServerUrl::parse(&listener.local_addr()?.to_string())?;
    Ok(Target::new(url, Timeouts { total, ..Timeouts::default() }, &Trust::default())?)
}

fn tokenizer() -> Result<&'static Tokenizer, Failed> {
    static TOKENIZER: OnceCell<Tokenizer> = OnceCell::new();
    Ok(TOKENIZER.get_or_try_init(fixtures::tokenizer)?)
}
