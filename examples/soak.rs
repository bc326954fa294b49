//! Many requests to an engine that goes wrong on purpose: does each failure get its class, is every request counted, and does
//! memory stay flat? `cargo run --release --example soak`

use std::{
    collections::{BTreeMap, HashMap},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use tachometer::{
    client::{Headers, RequestWriter, Sampling, ServerUrl, Target, Timeouts, Trust},
    engine::{Engine, EngineConfig},
    fixtures,
    internals::WordList,
    load::{FailureLimit, Pass, Schedule, Share, Stop, run_pass},
};

/// Sends requests to an engine that answers a share of them with each kind of fault, and compares every outcome
#[derive(Parser)]
struct Args {
    /// Requests of a round
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Rounds
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Clients that send at once
    #[arg(long, default_value_t = 256)]
    concurrency: usize,
    /// Share of the requests that each of the ten kinds of fault befalls
    #[arg(long, default_value_t = 0.01)]
    fault_share: f64,
    /// Seconds that the client waits for a first token, and for the next event
    #[arg(long, default_value_t = 2.0)]
    patience: f64,
}

fn main() -> ExitCode {
    match soak(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(101)
        }
    }
}

type Error = Box<dyn std::error::Error>;

fn soak(args: &Args) -> Result<(), Error> {
    let tokenizer = Arc::new(fixtures::tokenizer()?);
    let config: EngineConfig = format!(
        "instance_num={},decode_step_ms=1,decode_per_request_us=0,prefill_tokens_per_s=1e9,fault_share={}",
        args.concurrency, args.fault_share
    )
    .parse()?;
    let engine = Engine::start(config, tokenizer.clone(), 0)?;
    let patience = Duration::from_secs_f64(args.patience);
    let timeouts = Timeouts { first_token: patience, stall: patience, ..Timeouts::default() };
    let target = Arc::new(Target::new(ServerUrl::parse(&engine.url())?, timeouts, &Trust::default())?);
    let sampling = Arc::new(Sampling { stream: true, ..Sampling::default() });
    let writer = Arc::new(RequestWriter::new(&target.url, "tachometer-engine", &sampling, &Headers::default()));
    let words = WordList::new(&tokenizer)?;

    // Outcome: what the engine did, what the client says.
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut sent, mut resent, mut wrong) = (0, 0, 0);
    for round in 0..args.rounds {
        let pass = Pass {
            target: target.clone(),
            writer: writer.clone(),
            sampling: sampling.clone(),
            prompts: words.prompts(&tokenizer, round as u64, args.requests, 8, 8)?.into(),
            schedule: Schedule::Closed { concurrency: args.concurrency },
            threads: 1,
            request_id_prefix: format!("r{round}").into(),
            retries: 0,
            failures: FailureLimit::default(),
            stop: Stop::default(),
            share: Share::default(),
            lasts: None,
            start: Arc::new(()),
            observer: Arc::new(()),
        };
        let run = run_pass(&pass).map_err(|failure| failure.message)?;
        let truths: HashMap<String, String> = engine
            .take_truths()
            .into_iter()
            .map(|truth| {
                let outcome = truth.fault.map_or_else(|| "completed".to_owned(), |fault| fault.class().to_string());
                (truth.request_id, outcome)
            })
            .collect();
        sent += args.requests;
        resent += run.connections.resent;
        if run.records.len() != args.requests {
            return Err(format!("round {round}: {} records of {} requests", run.records.len(), args.requests).into());
        }
        for record in &run.records {
            let got = match &record.outcome {
                Ok(()) => "completed".to_owned(),
                Err(failure) => failure.class.to_string(),
            };
            let truth = truths.get(&format!("r{round}-{}", record.index)).map_or("never received", String::as_str);
            if got != truth {
                wrong += 1;
                let said = record.outcome.as_ref().err().map_or("", |failure| failure.message.as_str());
                eprintln!("round {round}, request {}: {got} ({said}), but in truth {truth}", record.index);
            }
            counts.entry(truth.to_owned()).or_default().0 += 1;
            counts.entry(got).or_default().1 += 1;
        }
        println!("round {:>3}: {sent:>9} requests, {} MB resident", round + 1, resident_mb());
    }
    println!("\n{:<14}{:>9}{:>9}", "outcome", "in truth", "counted");
    for (outcome, (truth, counted)) in &counts {
        println!("{outcome:<14}{truth:>9}{counted:>9}");
    }
    let counted: usize = counts.values().map(|(_, counted)| counted).sum();
    println!("{sent} sent, {counted} counted, {resent} resent, {wrong} with another outcome than in truth");
    if wrong > 0 || counted != sent { Err("the counts are not those of the engine".into()) } else { Ok(()) }
}

/// What the process holds in memory, engine included; 0 where the system does not say.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}
