//! Persistent connections, and servers that close them: what may be sent again, and what is a failure.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tachometer::{
    client::{
        Client, ConnectionStats, FailureClass, Headers, PerThread, Record, RequestWriter, Sampling, ServerUrl, Target,
        Timeouts, Trust,
    },
    dataset::Prompt,
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
    /// Takes the request, works for a while, and closes without a word.
    Die,
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
            Step::Die => return tokio::time::sleep(Duration::from_millis(300)).await,
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
        let timeouts = Timeouts { total: Duration::from_millis(1500), ..Timeouts::default() };
        let target = Arc::new(Target::new(url, timeouts, &Trust::default()).unwrap());
        let writer = Arc::new(RequestWriter::new(&target.url, "m", &Sampling::default(), &Headers::default()));
        let mut client = Client::new(target.clone(), writer, false, 0, PerThread::default());
        let prompt = Prompt { index: 0, text: "Hi".to_owned(), prompt_tokens: 1, output_tokens: 1 };
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
        // At most the request before it was learned met a closed connection; the server has seen each one once.
        assert!(outcome.stats.resent <= 1);
        assert_eq!(outcome.seen, 4);
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
    for script in [&[Step::Answer, Step::Die][..], &[Step::Die, Step::Answer]] {
        let outcome = run(script, Duration::ZERO);
        let failed = failures(&outcome);
        assert_eq!(failed.iter().flatten().collect::<Vec<_>>(), [&FailureClass::Reset]);
        assert_eq!((outcome.seen, outcome.stats.resent, outcome.learned), (4, 0, false));
    }
}

#[test]
fn a_connection_that_the_client_gave_up_says_nothing_about_the_server() {
    let outcome = run(&[Step::Silence], Duration::ZERO);
    assert_eq!(failures(&outcome), [Some(FailureClass::Timeout), None, None, None]);
    assert_eq!((outcome.stats.opened, outcome.stats.resent, outcome.learned), (2, 0, false));
}
