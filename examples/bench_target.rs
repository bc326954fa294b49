//! A bench target that says in code what it measures; it would be `benches/chat.rs`, with `harness = false`.
//!
//! `cargo run --release --example bench_target -- --bench`, as `cargo bench` calls it; `--list`, filters and all other flags work
//! too, and win over what stands here.

use tachometer::{Harness, Server, Workload, engine::EngineConfig};

fn main() -> std::process::ExitCode {
    let engine = EngineConfig { decode_step_ms: 2.0, ..EngineConfig::default() };
    Harness::from_env()
        // Server::url("http://127.0.0.1:8000").model("my-model").api_key_env("KEY") for a running server.
        .server(Server::embedded(engine))
        .defaults(Workload::default().num_prompts(32).sample_size(3).stream(true))
        .workload(Workload::new("short").dataset("random:32:16").concurrency([1, 8]))
        .workload(Workload::new("long").dataset("random:512:16").concurrency([4]).gate(["ttft_p50".parse().unwrap()]))
        .with(|run| run.confidence_level(0.99))
        .main()
}
