//! The engine in a process of its own, so that its work is none of the client's.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use tachometer::{
    engine::{Engine, EngineConfig},
    fixtures,
};

use crate::cores::pin_to_last_core;

/// Holds the engine's settings, for the process that is to be the engine.
pub const RUN_AS_ENGINE: &str = "ACCURACY_RUN_AS_ENGINE";

/// A child process with a running engine. Dropping it stops it.
pub struct EngineProcess {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where it listens.
    pub url: String,
}

/// What the engine did for one request; nanoseconds of the machine's monotonic clock.
pub struct Truth {
    pub received_ns: u64,
    pub ended_ns: u64,
    pub token_ns: Vec<u64>,
    pub prompt_tokens: u64,
    pub cached_tokens: u64,
}

impl EngineProcess {
    pub fn start(config: &str) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(RUN_AS_ENGINE, config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("the engine's pipes are missing");
        let asks = child.stdin.take().ok_or_else(missing)?;
        let mut answers = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut url = String::new();
        answers.read_line(&mut url)?;
        Ok(Self { child, asks: Some(asks), answers, url: url.trim().to_owned() })
    }

    /// What it did for each request since the last call, by request id.
    pub fn truths(&mut self) -> io::Result<HashMap<String, Truth>> {
        if let Some(asks) = &mut self.asks {
            asks.write_all(b"truths\n")?;
            asks.flush()?;
        }
        let mut truths = HashMap::new();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the engine is gone"));
            }
            let mut words = line.split_whitespace();
            let Some(id) = words.next() else { return Ok(truths) };
            let numbers: Result<Vec<u64>, _> = words.map(str::parse).collect();
            match numbers.map_err(io::Error::other)?.as_slice() {
                &[received_ns, ended_ns, prompt_tokens, cached_tokens, ref token_ns @ ..] => {
                    let token_ns = token_ns.to_vec();
                    truths
                        .insert(id.to_owned(), Truth { received_ns, ended_ns, token_ns, prompt_tokens, cached_tokens });
                }
                _ => return Err(io::Error::other("the engine's answer is cut off")),
            }
        }
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        // With its questions it ends.
        self.asks = None;
        _ = self.child.wait();
    }
}

/// What the child process does.
pub fn run_as_engine(config: &str) -> io::Result<()> {
    pin_to_last_core();
    let config: EngineConfig = config.parse().map_err(io::Error::other)?;
    let tokenizer = fixtures::tokenizer().map_err(io::Error::other)?;
    let engine = Engine::start(config, Arc::new(tokenizer), 0)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", engine.url())?;
    out.flush()?;
    for _ask in io::stdin().lines() {
        let mut answer = String::new();
        for truth in engine.take_truths() {
            answer += &format!("{} {} {}", truth.request_id, truth.received_ns, truth.ended_ns);
            answer += &format!(" {} {}", truth.prompt_tokens, truth.cached_tokens);
            for at_ns in truth.token_ns {
                answer += &format!(" {at_ns}");
            }
            answer.push('\n');
        }
        // An empty line ends the answer.
        answer.push('\n');
        out.write_all(answer.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}
