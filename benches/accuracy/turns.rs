//! Conversations: the time to first token of each turn, and what of it came from the cache, beside the engine's own record.

use tachometer::{
    client::{Headers, RequestWriter, Sampling, ServerUrl},
    dataset::{Message, Prompt},
    fixtures,
    internals::WordList,
    load::Schedule,
    metrics::{Conversations, Distribution},
};

use crate::{engine_process::EngineProcess, measure};

pub const NAME: &str = "turns/16";
const TURNS: usize = 6;
/// Conversations that go on at once.
const AT_ONCE: usize = 16;

pub fn run(tiny: bool) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| format!("{NAME}: {e}");
    let conversations = if tiny { 2 } else { 4 * AT_ONCE };
    let mut engine = EngineProcess::start(
        "instance_num=64,decode_step_ms=2,prefill_tokens_per_s=20000,jitter=0,kv_tokens=1000000,prefix_cache=true,block_tokens=16,report_cached=true",
    )
    .map_err(|e| text(&e))?;
    let tokenizer = fixtures::tokenizer().map_err(|e| text(&e))?;
    let words = WordList::new(&tokenizer).map_err(|e| text(&e))?;
    let said = words.prompts(&tokenizer, 1, 2 * TURNS * conversations, 100, 20).map_err(|e| text(&e))?;
    let mut prompts: Vec<Prompt> = Vec::new();
    for (conversation, said) in said.chunks(2 * TURNS).enumerate() {
        let mut before: Vec<Message> = Vec::new();
        for (turn, pair) in said.chunks(2).enumerate() {
            let sent = if turn == 0 { 0 } else { 100 * (2 * turn as u32 - 1) };
            prompts.push(Prompt {
                conversation,
                turn: turn as u32,
                before: before.clone().into(),
                prompt_tokens: 100 * (2 * turn as u32 + 1),
                shared_tokens: sent,
                ..pair[0].clone()
            });
            for (role, said) in ["user", "assistant"].into_iter().zip(pair) {
                before.push(Message { role: role.to_owned(), content: said.text.clone() });
            }
        }
    }
    let sampling = Sampling { stream: true, ..Sampling::default() };
    let url = ServerUrl::parse(&engine.url)?;
    let writer = RequestWriter::new(&url, "tachometer-engine", &sampling, &Headers::default());
    let schedule = Schedule::Closed { concurrency: AT_ONCE };
    let records = measure(url, writer, sampling, prompts.clone().into(), schedule)?.records;
    let truths = engine.truths().map_err(|e| text(&e))?;
    let by_turn = Conversations::of(&records, &prompts).ok_or("no conversations")?.by_turn;
    if tiny {
        println!("Testing {NAME}\nSuccess");
        return Ok(());
    }
    println!("{NAME}: {conversations} conversations of {TURNS} turns, on an engine that caches");
    println!("    turn   ttft p50, ms      the engine's   cached of the prompt   the engine's");
    for (turn, told) in by_turn.iter().enumerate() {
        let (mut ttft_ms, mut cached, mut of) = (Vec::new(), 0, 0);
        for record in records.iter().filter(|record| record.turn as usize == turn) {
            let truth = truths.get(&format!("a-{}", record.index)).ok_or("the engine has no record of a request")?;
            ttft_ms.push((truth.token_ns[0] - truth.received_ns) as f64 * 1e-6);
            (cached, of) = (cached + truth.cached_tokens, of + truth.prompt_tokens);
        }
        let p50 = Distribution::of(ttft_ms).map_or(f64::NAN, |of| of.p50);
        println!(
            "    {:<4} {:>14.3} {p50:>17.3} {:>20.2} % {:>13.2} %",
            turn + 1,
            told.ttft_s.map_or(f64::NAN, |ttft| ttft.p50 * 1e3),
            told.cached_share.unwrap_or(f64::NAN) * 100.0,
            100.0 * cached as f64 / of as f64,
        );
    }
    println!();
    Ok(())
}
