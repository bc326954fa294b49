//! The client against the embedded engine's own record of what it did.

#![cfg(feature = "harness")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use tachometer::{
    client::{Api, Headers, Record, RequestWriter, Sampling, ServerUrl, Target, Timeouts, TokenSource, Trust},
    dataset::{Prompt, Tokenizer},
    engine::{Engine, EngineConfig, RequestTruth},
    fixtures,
    internals::{WordList, arrivals_ns},
    load::{Arrival, FailureLimit, Observer, Pass, PassRecords, RequestRate, Schedule, Share, Stop, run_pass},
    metrics::{PassMetrics, client_share, count_output_tokens},
};

fn tokenizer() -> Arc<Tokenizer> {
    Arc::new(fixtures::tokenizer().unwrap())
}

fn engine(pairs: &str) -> Engine {
    Engine::start(pairs.parse::<EngineConfig>().unwrap(), tokenizer(), 0).unwrap()
}

fn prompts(n: usize, prompt_tokens: u32, output_tokens: u32) -> Vec<Prompt> {
    let tokenizer = tokenizer();
    WordList::new(&tokenizer).unwrap().prompts(&tokenizer, 1, n, prompt_tokens, output_tokens).unwrap()
}

/// One pass; records with their output tokens counted, and the engine's truth by request id.
fn run(
    engine: &Engine,
    sampling: Sampling,
    prompts: Vec<Prompt>,
    concurrency: usize,
) -> (PassRecords, HashMap<String, RequestTruth>) {
    run_load(engine, sampling, prompts, Schedule::Closed { concurrency }, 1)
}

fn run_load(
    engine: &Engine,
    sampling: Sampling,
    prompts: Vec<Prompt>,
    schedule: Schedule,
    threads: usize,
) -> (PassRecords, HashMap<String, RequestTruth>) {
    let observer: Arc<dyn Observer> = Arc::new(());
    run_watched(engine, sampling, prompts, schedule, threads, observer)
}

fn run_watched(
    engine: &Engine,
    sampling: Sampling,
    prompts: Vec<Prompt>,
    schedule: Schedule,
    threads: usize,
    observer: Arc<dyn Observer>,
) -> (PassRecords, HashMap<String, RequestTruth>) {
    let target = Target::new(ServerUrl::parse(&engine.url()).unwrap(), Timeouts::default(), &Trust::default()).unwrap();
    let pass = Pass {
        retries: 0,
        failures: FailureLimit::default(),
        stop: Stop::default(),
        writer: Arc::new(RequestWriter::new(&target.url, "tachometer-engine", &sampling, &Headers::default())),
        target: Arc::new(target),
        sampling: Arc::new(sampling),
        share: Share::default(),
        lasts: None,
        start: Arc::new(()),
        observer,
        prompts: prompts.into(),
        schedule,
        threads,
        request_id_prefix: "r".into(),
    };
    let mut result = run_pass(&pass).unwrap();
    assert_eq!(result.records.len(), pass.prompts.len());
    count_output_tokens(&mut result.records, &tokenizer()).unwrap();
    let truths = engine.take_truths().into_iter().map(|truth| (truth.request_id.clone(), truth)).collect();
    (result, truths)
}

fn streaming() -> Sampling {
    Sampling { stream: true, ..Sampling::default() }
}

#[test]
fn every_dialect_gives_the_tokens_that_were_asked_for() {
    let engine = engine("decode_step_ms=0.2");
    for api in Api::all().filter(|api| api.generates()) {
        for stream in [true, false] {
            for include_usage in [true, false] {
                let sampling = Sampling { api, stream, include_usage, ..Sampling::default() };
                let (result, truths) = run(&engine, sampling, prompts(6, 30, 17), 3);
                // Usage comes with every body, and with streams that ask for it or need not; never with LMDeploy's of 2023.
                let chooses = ["chat", "completions"].contains(&api.name());
                let usage = !stream || (include_usage || !chooses) && api.name() != "lmdeploy";
                let source = if usage { TokenSource::Usage } else { TokenSource::Client };
                for record in &result.records {
                    assert_eq!(record.outcome, Ok(()), "{api} {stream}");
                    assert_eq!(record.output, Some((17, source)), "{api} {stream} {include_usage}");
                    assert_eq!(record.token_events, if stream { 17 } else { 0 });
                    assert_eq!(truths[&format!("r-{}", record.index)].token_ns.len(), 17);
                    assert_eq!(truths[&format!("r-{}", record.index)].prompt_tokens, 30);
                }
                assert_eq!(result.connections.opened, 3);
            }
        }
    }
}

/// What gives no tokens has the whole latency, the input's tokens and nothing else, however it was asked.
#[test]
fn embeddings_and_rankings_have_no_tokens() {
    let engine = engine("decode_step_ms=0.2");
    for api in Api::all().filter(|api| !api.generates()) {
        for stream in [true, false] {
            let sampling = Sampling { api, stream, ..Sampling::default() };
            let (result, truths) = run(&engine, sampling, prompts(6, 30, 17), 3);
            let pass = PassMetrics::of(0, String::new(), &result.records, result.connections, result.client.used());
            assert_eq!((pass.completed, pass.failed, pass.output_tokens, pass.requested_tokens), (6, 0, 0, 0), "{api}");
            assert_eq!(
                (pass.ttft_s, pass.tpot_s, pass.itl_s, pass.token_source, pass.output_length),
                Default::default()
            );
            assert!(pass.e2e_s.is_some_and(|e2e| e2e.count == 6) && pass.total_tokens_per_s > 0.0);
            for record in &result.records {
                let truth = &truths[&format!("r-{}", record.index)];
                assert!(record.end_ns >= truth.token_ns[0], "{api}");
                assert_eq!(record.usage.unwrap().prompt_tokens, Some(truth.prompt_tokens));
            }
        }
    }
}

#[test]
fn the_text_counts_as_exactly_the_tokens_claimed() {
    let engine = engine("decode_step_ms=0.1");
    let sampling = Sampling { include_usage: false, ..streaming() };
    for tokens in [1, 2, 50, 300] {
        let (result, _) = run(&engine, sampling.clone(), prompts(2, 5, tokens), 2);
        assert!(result.records.iter().all(|r| r.output == Some((tokens, TokenSource::Client))), "{tokens}");
    }
}

#[test]
fn what_exceeds_the_instances_waits_and_the_ttft_holds_the_wait() {
    let engine = engine("instance_num=2,decode_step_ms=2");
    let (result, truths) = run(&engine, streaming(), prompts(6, 10, 20), 6);
    let truth = |index: usize| &truths[&format!("r-{index}")];
    for record in &result.records {
        let truth = truth(record.index);
        assert!(record.sent_ns.unwrap() <= truth.received_ns && truth.received_ns <= truth.admitted_ns);
        // The client can't have seen a token before it was written, so its TTFT holds the engine's whole wait.
        assert!(record.first_token_ns.unwrap() >= truth.token_ns[0]);
        let waited_s = (truth.admitted_ns - truth.received_ns) as f64 * 1e-9;
        assert!(record.ttft_s().unwrap() >= waited_s);
        // Whoever found both instances taken waited until one of them was free.
        let running = truths.values().filter(|b| b.admitted_ns < truth.received_ns && truth.received_ns < b.ended_ns);
        let mut ends: Vec<u64> = running.map(|b| b.ended_ns).collect();
        ends.sort_unstable();
        assert!(ends.len() <= 2);
        assert!(ends.len() < 2 || truth.admitted_ns >= ends[0], "request {} did not wait", record.index);
    }
    // Never more than two at once.
    for a in truths.values() {
        let running = truths.values().filter(|b| b.admitted_ns <= a.admitted_ns && a.admitted_ns < b.ended_ns).count();
        assert!(running <= 2, "{running} ran at once");
    }
    // In order of arrival.
    let mut by_arrival: Vec<_> = truths.values().collect();
    by_arrival.sort_by_key(|truth| truth.received_ns);
    assert!(by_arrival.is_sorted_by_key(|truth| truth.admitted_ns));
}

#[test]
fn the_cache_budget_holds_requests_back() {
    // Each needs 10 + 20 tokens: two fit into 70, the third waits though instances are free.
    let engine = engine("instance_num=8,kv_tokens=70,decode_step_ms=1");
    let (_, truths) = run(&engine, streaming(), prompts(4, 10, 20), 4);
    for a in truths.values() {
        let running = truths.values().filter(|b| b.admitted_ns <= a.admitted_ns && a.admitted_ns < b.ended_ns).count();
        assert!(running <= 2, "{running} ran at once");
    }
}

#[test]
fn every_token_is_stamped_after_it_was_written_and_before_the_end() {
    let engine = engine("decode_step_ms=3");
    let (result, truths) = run(&engine, streaming(), prompts(4, 10, 25), 4);
    for record in &result.records {
        let truth = &truths[&format!("r-{}", record.index)];
        assert!(record.first_token_ns.unwrap() >= truth.token_ns[0]);
        assert!(record.last_token_ns.unwrap() >= *truth.token_ns.last().unwrap());
        assert!(record.end_ns >= truth.ended_ns);
        // The head was sent long before; a client that was busy elsewhere reads both at once.
        assert!(record.headers_ns.unwrap() <= record.first_token_ns.unwrap());
        let gaps: f64 = record.gaps.iter().map(|gap| gap.seconds()).sum();
        let span = (record.last_token_ns.unwrap() - record.first_token_ns.unwrap()) as f64 * 1e-9;
        assert!((gaps - span).abs() < 25.0 * 1e-7, "{gaps} is not {span}");
    }
}

#[test]
fn prefill_takes_its_time() {
    // 500 tokens at 10,000 a second are 50 ms before the first token, by the engine's own clock.
    let engine = engine("prefill_tokens_per_s=10000,decode_step_ms=0.1,jitter=0");
    let (_, truths) = run(&engine, streaming(), prompts(1, 500, 2), 1);
    let truth = truths.values().next().unwrap();
    assert!(truth.token_ns[0] - truth.received_ns >= 50_000_000);
    assert!(truth.token_ns[1] > truth.token_ns[0]);
}

fn open_loop(rate: f64, arrival: Arrival, n: usize, max_in_flight: Option<usize>) -> Schedule {
    let arrivals_ns = arrivals_ns(RequestRate(rate), arrival, 1.0, n, 5).into();
    Schedule::Open { arrivals_ns, connections: 2, max_in_flight }
}

#[test]
fn an_open_loop_sends_each_request_at_its_time_and_leaves_none_out() {
    let engine = engine("instance_num=64,decode_step_ms=1");
    for threads in [1, 2] {
        let load = open_loop(400.0, Arrival::Poisson, 60, None);
        let (result, truths) = run_load(&engine, streaming(), prompts(60, 10, 30), load, threads);
        assert_eq!((result.records.len(), truths.len()), (60, 60));
        let expected = arrivals_ns(RequestRate(400.0), Arrival::Poisson, 1.0, 60, 5);
        let start_ns = result.records[0].intended_ns.unwrap();
        for (record, arrival_ns) in result.records.iter().zip(expected) {
            assert_eq!(record.outcome, Ok(()));
            assert_eq!(record.intended_ns, Some(start_ns + arrival_ns));
            // Never before its time; how late it was is reported, and no matter of this test.
            assert!(record.send_lag_s().is_some(), "request {} was sent too early", record.index);
            assert!(record.e2e_s() >= record.e2e_sent_s());
        }
        // It took more connections than were opened at first, and says so.
        assert!(result.connections.opened > 2 && result.connections.reopened == result.connections.opened - 2);
    }
}

/// A client that is slowed on purpose: what it says it has cost is what the engine's record says.
#[test]
fn the_clients_share_is_what_the_engine_was_not_asked_for() {
    struct Slow(Duration);
    impl Observer for Slow {
        fn ended(&self, _: &Record) {
            std::thread::sleep(self.0);
        }
    }
    /// In all, what the share is a share of: in nanoseconds, over all clients.
    fn between_ns(records: &[Record], clients: usize) -> f64 {
        let sent = || records.iter().filter_map(|record| record.sent_ns);
        let all_ns = (sent().max().unwrap() - sent().min().unwrap()) as f64 * clients as f64;
        client_share(records, Some(clients)).unwrap() * all_ns
    }
    const ROUNDING_NS: f64 = 10.0;
    let engine = engine("instance_num=64,decode_step_ms=1");
    for (slow_ms, clients) in [(4, 1), (20, 1), (4, 4)] {
        let slow = Duration::from_millis(slow_ms);
        let schedule = Schedule::Closed { concurrency: clients };
        let (result, truths) = run_watched(&engine, streaming(), prompts(24, 10, 8), schedule, 1, Arc::new(Slow(slow)));
        // The same, by when the engine had read a request and written its last token. The ways there and back are no doing of the client's.
        let mut by_engine = result.records.clone();
        let mut ways_ns = 0;
        for record in &mut by_engine {
            let truth = &truths[&format!("r-{}", record.index)];
            let (received_ns, written_ns) = (truth.received_ns, *truth.token_ns.last().unwrap());
            ways_ns += received_ns - record.sent_ns.unwrap() + record.end_ns - written_ns;
            (record.sent_ns, record.end_ns) = (Some(received_ns), written_ns);
        }
        let (by_client, by_engine) = (between_ns(&result.records, clients), between_ns(&by_engine, clients));
        let agrees = by_client <= by_engine + ROUNDING_NS && by_client + ways_ns as f64 >= by_engine - ROUNDING_NS;
        assert!(agrees, "{slow_ms} ms, {clients} clients: {by_client} by the client, {by_engine} by the engine");
        let slowed_ns = slow.as_nanos() as f64 * (24 - clients) as f64;
        assert!(by_client >= slowed_ns - ROUNDING_NS, "{slow_ms} ms, {clients} clients: {by_client}");
    }
}

#[test]
fn what_is_held_back_waits_in_order_and_the_wait_is_told() {
    let engine = engine("instance_num=64,decode_step_ms=2");
    let load = open_loop(f64::INFINITY, Arrival::Constant, 12, Some(3));
    let (result, truths) = run_load(&engine, streaming(), prompts(12, 10, 20), load, 2);
    for a in truths.values() {
        let at_once = truths.values().filter(|b| b.received_ns <= a.received_ns && a.received_ns < b.ended_ns).count();
        assert!(at_once <= 3, "{at_once} were in flight at once");
    }
    // All were meant for the same moment; each but the first three went out when one of those before it had ended.
    let start_ns = result.records[0].intended_ns;
    assert!(result.records.iter().all(|record| record.intended_ns == start_ns));
    let mut sends: Vec<u64> = result.records.iter().map(|record| record.sent_ns.unwrap()).collect();
    let mut ends: Vec<u64> = truths.values().map(|truth| truth.ended_ns).collect();
    sends.sort_unstable();
    ends.sort_unstable();
    assert!(sends[3..].iter().zip(&ends).all(|(sent_ns, ended_ns)| sent_ns > ended_ns));
    let longest_s = result.records.iter().map(|record| record.send_lag_s().unwrap()).fold(0.0, f64::max);
    assert_eq!(longest_s, (sends[11] - start_ns.unwrap()) as f64 * 1e-9);
    assert!(result.records.iter().all(|r| r.ttft_s().unwrap() >= r.ttft_sent_s().unwrap()));
}
