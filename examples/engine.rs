//! The simulated inference engine on its own, so that any tool can be pointed at it:
//! `cargo run --release --example engine -- --port 8000`

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use clap::Parser;
use serde_json::json;
use tachometer::{
    engine::{Engine, EngineConfig},
    fixtures,
};

/// A simulated inference engine behind a real HTTP/1.1 server on 127.0.0.1
#[derive(Parser)]
struct Args {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File that gets a JSON line for each request, within a second of its end: what the engine did, and when, in nanoseconds of
    /// CLOCK_MONOTONIC
    #[arg(long)]
    record: Option<PathBuf>,
    #[command(flatten)]
    config: EngineConfig,
}

fn main() -> ExitCode {
    let Args { port, record, config } = Args::parse();
    let tokenizer = match fixtures::tokenizer() {
        Ok(tokenizer) => Arc::new(tokenizer),
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::FAILURE;
        }
    };
    match Engine::start(config, tokenizer, port) {
        Ok(engine) => {
            println!("listening on {}", engine.url());
            let ended = match record {
                Some(path) => keep_record(&engine, &path),
                None => {
                    engine.join();
                    Ok(())
                }
            };
            match ended {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => {
                    eprintln!("error: cannot write the record: {e}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(e) => {
            eprintln!("error: cannot listen on 127.0.0.1:{port}: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Writes what the engine does until the process is ended.
fn keep_record(engine: &Engine, path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    loop {
        let mut lines = Vec::new();
        for truth in engine.take_truths() {
            let line = json!({
                "request_id": truth.request_id,
                "received_ns": truth.received_ns,
                "admitted_ns": truth.admitted_ns,
                "token_ns": truth.token_ns,
                "ended_ns": truth.ended_ns,
                "prompt_tokens": truth.prompt_tokens,
                "cached_tokens": truth.cached_tokens,
                "cancelled": truth.cancelled,
            });
            writeln!(lines, "{line}")?;
        }
        file.write_all(&lines)?;
        sleep(Duration::from_millis(200));
    }
}
