//! The simulated inference engine on its own, so that any tool can be pointed at it:
//! `cargo run --release --example engine -- --port 8000`

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
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
    #[command(flatten)]
    config: EngineConfig,
}

fn main() -> ExitCode {
    let Args { port, config } = Args::parse();
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
            engine.join();
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: cannot listen on 127.0.0.1:{port}: {e}");
            ExitCode::FAILURE
        }
    }
}
