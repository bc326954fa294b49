//! The streaming client as someone else's tests and services use it.

#![cfg(feature = "harness")]

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use tachometer::{
    client::{Client, FailureClass, Headers, Sampling, Timeouts, Trust},
    dataset::Prompt,
    engine::{Engine, EngineConfig},
    fixtures,
};

const MODEL: &str = "tachometer-engine";

fn engine() -> Engine {
    let config = EngineConfig { decode_step_ms: 2.0, jitter: 0.0, ..EngineConfig::default() };
    Engine::start(config, Arc::new(fixtures::tokenizer().unwrap()), 0).unwrap()
}

#[tokio::test]
async fn events_come_while_the_answer_is_still_coming() {
    let engine = engine();
    let mut client = Client::connect(&engine.url(), MODEL).await.unwrap();
    for _ in 0..2 {
        let (mut text, mut arrivals, mut ended) = (String::new(), Vec::new(), Vec::new());
        let record = client
            .send_with(&Prompt::new("the first of two", 12), |event| {
                text.push_str(event.text);
                if event.event.is_token() {
                    arrivals.push(event.at);
                    // The engine's own row is there when the answer has ended.
                    ended.extend(engine.take_truths());
                }
            })
            .await;
        record.outcome.clone().unwrap();
        assert_eq!((record.token_events, arrivals.len(), text.split_whitespace().count()), (12, 12, 12));
        assert_eq!(text, client.last_text());
        assert!(arrivals.is_sorted() && arrivals[0] > Duration::ZERO, "{arrivals:?}");
        assert!((arrivals[0].as_secs_f64() - record.ttft_s().unwrap()).abs() < 1e-9, "{arrivals:?}");
        let ended: Vec<usize> = ended.iter().map(|truth| truth.token_ns.len()).collect();
        // The last token's event may come with the end.
        assert!(ended.is_empty() || ended == [12], "{ended:?}");
        assert_eq!(engine.take_truths().len() + ended.len(), 1);
    }
    assert_eq!(client.connection_stats().opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_move_between_threads() {
    let engine = engine();
    let url = engine.url();
    let heard = Arc::new(Mutex::new(0));
    let spawn = |n: u32| {
        let (url, heard) = (url.clone(), heard.clone());
        tokio::spawn(async move {
            let mut client = Client::connect(&url, MODEL).await?;
            let prompt = Prompt::new("the same for all", 4 + n);
            let record = client.send_with(&prompt, |event| *heard.lock().unwrap() += event.text.len()).await;
            record.outcome.map(|()| record.token_events)
        })
    };
    let running: Vec<_> = (0..4).map(spawn).collect();
    for (n, client) in (0..).zip(running) {
        assert_eq!(client.await.unwrap(), Ok(4 + n));
    }
    assert!(*heard.lock().unwrap() > 0);
}

#[tokio::test]
async fn an_answer_that_is_given_up_leaves_nothing_to_the_next() {
    let engine = engine();
    // Without `ignore_eos` the engine may end an answer sooner, depending on how far the one before it came.
    let sampling = Sampling { stream: true, ignore_eos: true, ..Sampling::default() };
    let (headers, timeouts) = (Headers::default(), Timeouts::default());
    let mut client = Client::with(&engine.url(), MODEL, sampling, &headers, timeouts, &Trust::default()).await.unwrap();
    for _ in 0..3 {
        let (first, heard) = tokio::sync::oneshot::channel();
        let mut first = Some(first);
        let long = Prompt::new("one that would go on", 1000);
        let send = client.send_with(&long, |event| {
            if event.event.is_token() {
                first.take().into_iter().for_each(|first| _ = first.send(()));
            }
        });
        tokio::select! {
            _ = send => panic!("a thousand tokens came at once"),
            _ = heard => {}
        }
        let record = client.send(&Prompt::new("the next", 3)).await;
        record.outcome.clone().unwrap();
        assert_eq!((record.token_events, client.last_text().split_whitespace().count()), (3, 3));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_comes_in_one_piece() {
    let engine = engine();
    let sampling = Sampling { max_tokens: Some(5), ..Sampling::default() };
    let (headers, timeouts) = (Headers::default(), Timeouts::default());
    let mut client = Client::with(&engine.url(), MODEL, sampling, &headers, timeouts, &Trust::default()).await.unwrap();
    let mut texts = Vec::new();
    let record = client.send_with(&Prompt::new("x", 9), |event| texts.push(event.text.to_owned())).await;
    record.outcome.clone().unwrap();
    assert_eq!((texts.as_slice(), record.requested_tokens), (&[client.last_text().to_owned()][..], 5));
    assert_eq!(texts[0].split_whitespace().count(), 5);
}

#[tokio::test]
async fn failures_are_errors() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{nobody}"), "ftp://me:secret@h".to_owned(), "http://me:secret@h".to_owned()] {
        let failure = Client::connect(&url, MODEL).await.err().unwrap();
        assert_eq!(failure.class, FailureClass::Connect);
        assert!(!failure.message.contains("secret"), "{failure}");
        let error: Box<dyn std::error::Error> = failure.into();
        assert!(error.to_string().starts_with("connect: "), "{error}");
    }
    let engine = engine();
    let mut client = Client::connect(&engine.url(), "another").await.unwrap();
    let failure = client.send(&Prompt::new("x", 4)).await.outcome.unwrap_err();
    assert_eq!(failure.to_string(), "http_404: The model `another` does not exist.");
}
