//! A trace that is replayed: when the engine got each request, beside the time at which it was recorded.

use std::time::Duration;

use tachometer::{
    client::{Headers, RequestWriter, Sampling, ServerUrl},
    dataset::{Prompt, PythonRandom, Sequence},
    fixtures,
    internals::WordList,
    load::{Arrival, LoadPoint, Pacing},
    metrics::Distribution,
};

use crate::{engine_process::EngineProcess, measure};

pub const NAME: &str = "replay/200";
/// Requests a second, on average.
const RATE: f64 = 200.0;

pub fn run(seconds: f64, tiny: bool) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| format!("{NAME}: {e}");
    let number = if tiny { 5 } else { (seconds * RATE) as usize };
    let mut engine = EngineProcess::start(
        "instance_num=1000,decode_step_ms=5,prefill_tokens_per_s=1e9,jitter=0,kv_tokens=1000000000",
    )
    .map_err(|e| text(&e))?;
    let tokenizer = fixtures::tokenizer().map_err(|e| text(&e))?;
    let words = WordList::new(&tokenizer).map_err(|e| text(&e))?;
    let mut prompts: Vec<Prompt> = words.prompts(&tokenizer, 1, number, 64, 16).map_err(|e| text(&e))?;
    let (mut rng, mut at_s) = (PythonRandom::new(1), 0.0);
    for prompt in &mut prompts {
        prompt.arrival = Some(Duration::from_secs_f64(at_s));
        at_s -= (1.0 - rng.random()).ln() / RATE;
    }
    let prompts = Sequence::from(prompts);
    let pacing =
        Pacing { arrival: Arrival::Poisson, burstiness: 1.0, max_in_flight: None, time_scale: 1.0, spread: false };
    let sampling = Sampling { stream: true, ..Sampling::default() };
    let url = ServerUrl::parse(&engine.url)?;
    let writer = RequestWriter::new(&url, "tachometer-engine", &sampling, &Headers::default());
    let schedule = LoadPoint::recorded(&pacing).schedule(number, &prompts, 0);
    let records = measure(url, writer, sampling, prompts.clone(), schedule)?.records;
    let truths = engine.truths().map_err(|e| text(&e))?;
    let start_ns = records.first().and_then(|first| first.intended_ns).ok_or("nothing was sent")?;
    let mut late_ms = Vec::new();
    for record in &records {
        let truth = truths.get(&format!("a-{}", record.index)).ok_or("the engine has no record of a request")?;
        let recorded = prompts[record.index].arrival.unwrap_or_default();
        late_ms.push((truth.received_ns as f64 - start_ns as f64) * 1e-6 - recorded.as_secs_f64() * 1e3);
    }
    if tiny {
        println!("Testing {NAME}\nSuccess");
        return Ok(());
    }
    println!("{NAME}: {number} requests at recorded times, {RATE} a second");
    println!("    beyond the trace, ms          p50      p99      max");
    let of = Distribution::of(late_ms).ok_or("nothing was sent")?;
    println!("    {:<26} {:>7.3}  {:>7.3}  {:>7.3}\n", "engine's receipt", of.p50, of.p99, of.max);
    Ok(())
}
