//! Persistent connections, and servers that close them: what may be sent again, and what is a failure.

#![cfg(feature = "harness")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tachometer::{
    client::{
        Client, ConnectionStats, FailureClass, Headers, Record, RequestWriter, Sampling, ServerUrl, Target, Timeouts,
        Trust,
    },
    dataset::Prompt,
    internals::PerThread,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Step {
    /// Answers and keeps the connection.
    Answer,
    /// Answers and closes, without having said so.
    AnswerAndClose,
    /// Answers, and says that it closes.
    AnswerSayingClose,
    /// Takes the request, works for so many milliseconds, and closes without a word.
    Die(u64),
    /// Answers, and closes so many milliseconds later.
    AnswerAndCloseAfter(u64),
    /// Says that it keeps an idle connection for a second, and takes so many milliseconds to answer.
    AnswerSlowly(u64),
    /// Takes the request and never answers.
    Silence,
}

const BODY: &str = r#"{"choices":[{"text":"A","finish_reason":"stop"}],"usage":{"completion_tokens":1}}"#;

async fn serve(listener: TcpListener, script: Vec<Step>, requests: Arc<AtomicUsize>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(connection(stream, script.clone(), requests.clone()));
    }
}

async fn connection(mut stream: TcpStream, script: Vec<Step>, requests: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    // Each request of these tests comes in one piece.
    while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
        let step = script.get(requests.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(Step::Answer);
        let said = if matches!(step, Step::AnswerSayingClose) { "connection: close\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{said}content-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        match step {
            Step::Answer => stream.write_all(answer.as_bytes()).await.unwrap(),
            Step::AnswerAndClose | Step::AnswerSayingClose => {
                return stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Step::Die(ms) => return tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::AnswerAndCloseAfter(ms) => {
                stream.write_all(answer.as_bytes()).await.unwrap();
                return tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Step::AnswerSlowly(ms) => {
                let (head, body) = answer.split_at(answer.len() - BODY.len());
                let head = head.replace("content-length", "keep-alive: timeout=1\r\ncontent-length");
                stream.write_all(head.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(ms)).await;
                stream.write_all(body.as_bytes()).await.unwrap();
            }
            Step::Silence => std::future::pending().await,
        }
    }
}

struct Outcome {
    records: Vec<Record>,
    stats: ConnectionStats,
    /// Requests that the server has seen.
    seen: usize,
    learned: bool,
}

/// Sends four prompts, one after another, to a server that follows the script.
fn run(script: &[Step], pause: Duration) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = ServerUrl::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        tokio::task::spawn_local(serve(listener, script.to_vec(), requests.clone()));
        let timeouts = Timeouts { total: Duration::from_millis(3000), ..Timeouts::default() };
        let target = Arc::new(Target::new(url, timeouts, &Trust::default()).unwrap());
        let writer = Arc::new(RequestWriter::new(&target.url, "m", &Sampling::default(), &Headers::default()));
        let mut client = Client::new(target.clone(), writer, 0, PerThread::default());
        let prompt = Prompt::new("Hi", 1);
        let mut records = Vec::new();
        for index in 0..4 {
            records.push(client.complete(index, &prompt, 1, "r").await);
            tokio::time::sleep(pause).await;
        }
        Outcome {
            records,
            stats: client.connection_stats(),
            seen: requests.load(Ordering::SeqCst),
            learned: target.closes_after_each_answer(),
        }
    }))
}

fn failures(outcome: &Outcome) -> Vec<Option<FailureClass>> {
    outcome.records.iter().map(|record| record.outcome.as_ref().err().map(|failure| failure.class)).collect()
}

#[test]
fn one_connection_serves_all_requests_of_a_client() {
    let outcome = run(&[], Duration::ZERO);
    assert_eq!(failures(&outcome), [None; 4]);
    assert_eq!((outcome.stats.opened, outcome.stats.reopened, outcome.stats.resent), (1, 0, 0));
    assert_eq!((outcome.seen, outcome.learned), (4, false));
}

#[test]
fn a_server_that_closes_after_each_answer_costs_no_request_and_is_learned() {
    for pause in [Duration::ZERO, Duration::from_millis(20)] {
        let outcome = run(&[Step::AnswerAndClose; 4], pause);
        assert_eq!(failures(&outcome), [None; 4]);
        assert_eq!((outcome.stats.opened, outcome.stats.reopened, outcome.learned), (4, 3, true));
        // It was watched after the first answer, so that no request met a closed connection.
        assert_eq!((outcome.stats.resent, outcome.seen), (0, 4));
    }
}

#[test]
fn an_announced_close_is_no_surprise() {
    let outcome = run(&[Step::AnswerSayingClose], Duration::ZERO);
    assert_eq!(failures(&outcome), [None; 4]);
    assert_eq!((outcome.stats.opened, outcome.stats.resent, outcome.learned), (2, 0, false));
}

#[test]
fn a_request_that_the_server_died_under_is_a_failure_and_is_not_sent_again() {
    // At once or after some work, on a connection that was just in use, or idle for long.
    for (script, pause_ms) in [
        (&[Step::Answer, Step::Die(300)][..], 0),
        (&[Step::Die(300), Step::Answer], 0),
        (&[Step::Answer, Step::Die(80)], 0),
        (&[Step::Answer, Step::Answer, Step::Die(0)], 0),
        (&[Step::Answer, Step::Die(300)], 600),
    ] {
        let outcome = run(script, Duration::from_millis(pause_ms));
        let failed = failures(&outcome);
        assert_eq!(failed.iter().flatten().collect::<Vec<_>>(), [&FailureClass::Reset]);
        assert_eq!((outcome.seen, outcome.stats.resent, outcome.learned), (4, 0, false));
    }
}

#[test]
fn what_meets_a_connection_that_was_closed_for_idleness_is_sent_again_once() {
    // Both the second request and its repetition are taken and dropped at once: the first drop is an idle connection's end.
    let outcome = run(&[Step::Answer, Step::Die(0), Step::Die(0)], Duration::from_millis(600));
    let second = &outcome.records[1];
    assert_eq!(second.outcome.as_ref().err().map(|failure| failure.class), Some(FailureClass::Reset));
    let waited_ns = second.end_ns - second.sent_ns.unwrap();
    // On a machine so busy that the close is seen late it is a failure, and the second drop meets the third request.
    let resent = outcome.stats.resent as usize;
    assert!(resent == 1 || resent == 0 && waited_ns >= 5_000_000, "{resent}, {waited_ns} ns");
    assert_eq!(outcome.records.iter().filter(|record| record.is_completed()).count(), 2 + resent);
}

#[test]
fn a_connection_that_was_closed_for_idleness_teaches_nothing() {
    let outcome = run(&[Step::AnswerAndCloseAfter(150); 4], Duration::from_millis(400));
    assert_eq!(failures(&outcome), [None; 4]);
    assert_eq!((outcome.stats.opened, outcome.stats.resent, outcome.learned), (4, 0, false));
}

#[test]
fn a_server_that_keeps_its_connections_after_all_is_believed() {
    let outcome = run(&[Step::AnswerAndClose], Duration::from_millis(50));
    assert_eq!(failures(&outcome), [None; 4]);
    assert_eq!((outcome.stats.opened, outcome.stats.resent, outcome.learned), (2, 0, false));
}

#[test]
fn the_time_for_which_a_connection_is_kept_runs_from_the_end_of_the_answer() {
    let outcome = run(&[Step::AnswerSlowly(700); 4], Duration::ZERO);
    assert_eq!(failures(&outcome), [None; 4]);
    assert_eq!(outcome.stats.opened, 1);
    // A pause that comes near it costs the connection, and no request.
    let outcome = run(&[Step::AnswerSlowly(0); 4], Duration::from_millis(600));
    assert_eq!(failures(&outcome), [None; 4]);
    assert_eq!((outcome.stats.opened, outcome.stats.resent), (4, 0));
}

#[test]
fn a_connection_that_the_client_gave_up_says_nothing_about_the_server() {
    let outcome = run(&[Step::Silence], Duration::ZERO);
    assert_eq!(failures(&outcome), [Some(FailureClass::Timeout), None, None, None]);
    assert_eq!((outcome.stats.opened, outcome.stats.resent, outcome.learned), (2, 0, false));
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const ANSWER: &str = "data: {\"choices\":[{\"delta\":{\"content\":\" a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Streams 40 answers that end so, one after another, from a server that then leaves the body open or ends it.
fn stream(events: &[&str], ends: bool) -> (Vec<Record>, ConnectionStats) {
    let text = events.concat();
    let answer = format!("{HEAD}{:x}\r\n{text}\r\n{}", text.len(), if ends { "0\r\n\r\n" } else { "" });
    stream_all(vec![Streamed { answer, closes: false }; 40])
}

/// An answer, and whether the connection is closed after it.
#[derive(Clone)]
struct Streamed {
    answer: String,
    closes: bool,
}

/// Streams answers, one after another.
fn stream_all(answers: Vec<Streamed>) -> (Vec<Record>, ConnectionStats) {
    let (requests, answers) = (answers.len(), Arc::new((answers, AtomicUsize::new(0))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = ServerUrl::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answers = answers.clone();
                tokio::task::spawn_local(async move {
                    while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {
                        let Streamed { answer, closes } = &answers.0[answers.1.fetch_add(1, Ordering::SeqCst)];
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        if *closes {
                            return;
                        }
                    }
                });
            }
        });
        let target = Arc::new(Target::new(url, Timeouts::default(), &Trust::default()).unwrap());
        let sampling = Sampling { stream: true, ..Sampling::default() };
        let writer = Arc::new(RequestWriter::new(&target.url, "m", &sampling, &Headers::default()));
        let mut client = Client::new(target.clone(), writer, 0, PerThread::default());
        let prompt = Prompt::new("Hi", 1);
        let mut records = Vec::new();
        for index in 0..requests {
            records.push(client.complete(index, &prompt, 1, "r").await);
        }
        (records, client.connection_stats())
    }))
}

#[test]
fn a_body_that_is_left_open_after_the_last_event_costs_the_first_few_requests_a_moment() {
    for events in [&[ANSWER, USAGE, DONE][..], &[ANSWER, DONE], &[ANSWER, USAGE], &[ANSWER]] {
        let (records, stats) = stream(events, false);
        assert!(records.iter().all(|record| record.is_completed() && record.left_open), "{events:?}");
        // What is waited for in vain is known after three answers, and tested ever more rarely.
        let waited: Vec<usize> = records.iter().filter(|r| r.end_wait_ns > 0).map(|r| r.index).collect();
        assert_eq!(waited, [0, 1, 2, 4, 8, 16, 32], "{events:?}");
        // None of it lies inside a latency: each ends with its last event.
        let longest = records.iter().map(|record| record.end_ns - record.last_token_ns.unwrap()).max();
        assert_eq!(longest, Some(0), "{events:?}");
        assert_eq!((stats.opened, stats.resent), (40, 0));
    }
}

#[test]
fn a_body_that_ends_costs_no_connection() {
    for events in [&[ANSWER, USAGE, DONE][..], &[ANSWER]] {
        let (records, stats) = stream(events, true);
        assert!(records.iter().all(|record| record.is_completed() && !record.left_open), "{events:?}");
        assert!(records.iter().all(|record| record.end_wait_ns == 0));
        assert_eq!((stats.opened, stats.resent), (1, 0));
    }
}

/// A stream that is cut in the middle of its answer says nothing of how bodies end.
#[test]
fn a_stream_that_is_cut_leaves_the_habit_as_it_is() {
    let streamed = |text: &str, closes| Streamed { answer: format!("{HEAD}{:x}\r\n{text}\r\n", text.len()), closes };
    let (left_open, cut) = (streamed(ANSWER, false), streamed("data: {\"cho", true));
    let (records, _) = stream_all([vec![left_open.clone(); 3], vec![cut, left_open]].concat());
    let waits: Vec<bool> = records.iter().map(|record| record.end_wait_ns > 0).collect();
    assert_eq!(waits, [true, true, true, false, false]);
    let classes = records.iter().map(|record| record.outcome.as_ref().err().map(|failure| failure.class));
    assert_eq!(classes.collect::<Vec<_>>(), [None, None, None, Some(FailureClass::Truncated), None]);
}
