//! A server of the program itself, measured: no process, no port to choose.
//!
//! `cargo run --release --example in_process -- --bench`, as `cargo bench` calls it.

use std::convert::Infallible;

use axum::{
    Json, Router,
    response::sse::{Event, Sse},
    routing::post,
    serve::ListenerExt,
};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tachometer::{Harness, Server, Workload};

/// Answers with as many words as were asked for.
async fn chat(Json(asked): Json<Value>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let tokens = asked["max_tokens"].as_u64().unwrap_or(16);
    let word = |_| json!({"choices": [{"index": 0, "delta": {"content": " word"}}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]});
    let usage = json!({"choices": [], "usage": {"completion_tokens": tokens}});
    let events = (0..tokens).map(word).chain([end, usage]);
    Sse::new(stream::iter(events.map(|event| Ok(Event::default().data(event.to_string())))))
}

async fn serve(listener: std::net::TcpListener) {
    // Without no-delay the end of an answer waits for the client's acknowledgement: 40 ms.
    let listener =
        tokio::net::TcpListener::from_std(listener).unwrap().tap_io(|socket| socket.set_nodelay(true).unwrap());
    axum::serve(listener, Router::new().route("/v1/chat/completions", post(chat))).await.unwrap();
}

fn main() -> std::process::ExitCode {
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokenizer.json");
    let workload = Workload::new("words").dataset("random:32:16").tokenizer(tokenizer).stream(true);
    Harness::from_env()
        .server(Server::in_process(serve).model("words"))
        .workload(workload.concurrency([1, 8]).num_prompts(200).sample_size(3))
        .main()
}
