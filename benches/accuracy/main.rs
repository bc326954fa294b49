//! The instrument against the truth: what the client reports beside what the engine, in a process of its own, wrote and when.
//!
//! ```sh
//! cargo bench --bench accuracy
//! ```
//!
//! Both processes read the machine's one monotonic clock, so the two stamps of a token can be subtracted. A bare reader that
//! only counts `data:` lines does the same work in the same run: it is the limit. docs/performance.md explains the rows.

mod bare_reader;
mod cores;
mod engine_process;
mod replay;
mod turns;

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use engine_process::{EngineProcess, RUN_AS_ENGINE, Truth, run_as_engine};
use tachometer::{
    client::{Headers, Record, RequestWriter, Sampling, ServerUrl, StampSource, Target, Timeouts, Trust},
    dataset::Sequence,
    fixtures,
    internals::WordList,
    load::{FailureLimit, Pass, PassRecords, Schedule, Share, Stop, run_pass},
    metrics::{Distribution, PassMetrics, client_share, count_output_tokens},
};

#[derive(Parser)]
#[command(about = "The client's stamps, counts and CPU time against the engine's own record and a bare reader")]
struct Arguments {
    /// Run only cases whose name contains one of these
    filters: Vec<String>,
    /// Seconds that each stream lasts in the paced cases
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Run each case once, tiny
    #[arg(long)]
    test: bool,
    /// Print the names of the cases
    #[arg(long)]
    list: bool,
    /// Measure; cargo bench adds this
    #[arg(long, hide = true)]
    bench: bool,
    /// How --list prints
    #[arg(long, hide = true, default_value = "pretty")]
    format: String,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true, alias = "no-capture")]
    nocapture: bool,
}

/// One load on the engine.
struct Case {
    name: &'static str,
    streams: usize,
    /// Of the engine's decode step; 0 is a flood.
    step_ms: f64,
    /// Tokens of each stream in the flood; the paced cases go by time.
    tokens: u32,
}

const CASES: [Case; 5] = [
    Case { name: "paced/64", streams: 64, step_ms: 20.0, tokens: 0 },
    Case { name: "paced/512", streams: 512, step_ms: 20.0, tokens: 0 },
    Case { name: "paced/1000", streams: 1000, step_ms: 20.0, tokens: 0 },
    Case { name: "saturated/3000", streams: 3000, step_ms: 20.0, tokens: 0 },
    Case { name: "flood/64", streams: 64, step_ms: 0.0, tokens: 5000 },
];

fn main() -> ExitCode {
    if let Ok(config) = std::env::var(RUN_AS_ENGINE) {
        return told(run_as_engine(&config).map_err(|e| e.to_string()));
    }
    let arguments = Arguments::parse();
    let is_selected = |name: &str| {
        let matches = |filter: &String| if arguments.exact { name == filter } else { name.contains(filter.as_str()) };
        !arguments.ignored && (arguments.filters.is_empty() || arguments.filters.iter().any(matches))
    };
    if arguments.list {
        let names = CASES.iter().map(|case| case.name).chain([replay::NAME, turns::NAME]);
        names.filter(|name| is_selected(name)).for_each(|name| println!("{name}: benchmark"));
        return ExitCode::SUCCESS;
    }
    let tiny = arguments.test || !arguments.bench;
    cores::pin_to_first_core();
    let cases = CASES.iter().filter(|case| is_selected(case.name)).try_for_each(|case| run(case, &arguments, tiny));
    let replayed = || if is_selected(replay::NAME) { replay::run(arguments.seconds, tiny) } else { Ok(()) };
    let turns = || if is_selected(turns::NAME) { turns::run(tiny) } else { Ok(()) };
    told(cases.and_then(|()| replayed()).and_then(|()| turns()))
}

fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(101)
        }
    }
}

fn run(case: &Case, arguments: &Arguments, tiny: bool) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| format!("{}: {e}", case.name);
    let streams = if tiny { 4 } else { case.streams };
    let tokens = match (tiny, case.step_ms > 0.0) {
        (true, _) => 5,
        (false, true) => (arguments.seconds * 1e3 / case.step_ms) as u32,
        (false, false) => case.tokens,
    };
    let step_ms = case.step_ms;
    let config = format!(
        "instance_num={streams},decode_step_ms={step_ms},decode_per_request_us=0,prefill_tokens_per_s=1e9,jitter=0,kv_tokens=1000000000"
    );
    let mut engine = EngineProcess::start(&config).map_err(|e| text(&e))?;
    let tokenizer = fixtures::tokenizer().map_err(|e| text(&e))?;
    // Two waves: all at once, and then each as one of the first has ended.
    let words = WordList::new(&tokenizer).map_err(|e| text(&e))?;
    let mut prompts = words.prompts(&tokenizer, 1, 2 * streams, 8, tokens).map_err(|e| text(&e))?;
    // Of lengths from 80 to 120 %: streams of a real server do not end all at once.
    for (i, prompt) in prompts.iter_mut().enumerate() {
        prompt.output_tokens = tokens * (800 + i as u32 * 7919 % 401) / 1000;
    }
    let sampling = Sampling { stream: true, ..Sampling::default() };
    let url = ServerUrl::parse(&engine.url)?;
    let writer = RequestWriter::new(&url, "tachometer-engine", &sampling, &Headers::default());

    let mut requests = vec![Vec::new(); streams];
    for (number, (prompt, request)) in prompts.iter().zip(&mut requests).enumerate() {
        writer.write(prompt, number, &format!("bare-{number}"), request);
    }
    let address = format!("{}:{}", url.host, url.port);
    let bare = bare_reader::read_all(&address, requests, b"0\r\n\r\n").map_err(|e| text(&e))?;
    engine.truths().map_err(|e| text(&e))?;

    let PassRecords { mut records, connections, client, .. } =
        measure(url, writer, sampling, prompts.into(), Schedule::Closed { concurrency: streams })?;
    let truths = engine.truths().map_err(|e| text(&e))?;
    count_output_tokens(&mut records, &tokenizer).map_err(|e| text(&e))?;
    let pass = PassMetrics::of(0, String::new(), &records, connections, client.used());
    let mut errors = Errors::default();
    for record in &records {
        let truth = truths.get(&format!("a-{}", record.index)).ok_or("the engine has no record of a request")?;
        errors.add(record, truth, record.index < streams).map_err(|why| format!("{}: {why}", case.name))?;
    }
    if tiny {
        println!("Testing {}\nSuccess", case.name);
        return Ok(());
    }
    println!("{}: {} requests of about {tokens} tokens", case.name, records.len());
    errors.print();
    let used = &pass.client;
    let per_event = |cpu_s: f64, events: u64| cpu_s * 1e6 / events as f64;
    let cpu_us = per_event(used.cpu_s.unwrap_or(f64::NAN), pass.token_events);
    let bare_us = per_event(bare.cpu_ns as f64 * 1e-9, bare.events);
    println!("    CPU per token event      {cpu_us:.2} µs; bare reader {bare_us:.2} µs; ratio {:.2}", cpu_us / bare_us);
    let by = match used.stamps {
        Some(StampSource::Kernel) => "by the kernel",
        _ => "by the reads",
    };
    let ms = |late: Option<f64>| late.map_or_else(|| "-".to_owned(), |late| format!("{:.3} ms", late * 1e3));
    println!(
        "    stamps {by}; reads later p50 {} p99 {}; timers late p99 {}; client's share {}",
        ms(used.read_late_s.map(|late| late.p50)),
        ms(used.read_late_s.map(|late| late.p99)),
        ms(used.timer_late_s.map(|late| late.p99)),
        client_share(&records, Some(streams)).map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0)),
    );
    println!(
        "    {} connections, {:.3} ms each to open\n",
        pass.connections.opened,
        pass.connections.connect_mean_s * 1e3
    );
    Ok(())
}

fn measure(
    url: ServerUrl,
    writer: RequestWriter,
    sampling: Sampling,
    prompts: Sequence,
    schedule: Schedule,
) -> Result<PassRecords, String> {
    let target = Target::new(url, Timeouts::default(), &Trust::default())?;
    let pass = Pass {
        retries: 0,
        failures: FailureLimit::default(),
        stop: Stop::default(),
        target: Arc::new(target),
        writer: Arc::new(writer),
        sampling: Arc::new(sampling),
        share: Share::default(),
        lasts: None,
        start: Arc::new(()),
        observer: Arc::new(()),
        prompts,
        schedule,
        threads: 1,
        request_id_prefix: "a".into(),
    };
    run_pass(&pass).map_err(|failure| failure.message)
}

/// How far what the client reports lies from the truth, in milliseconds.
#[derive(Default)]
struct Errors {
    /// From the client's send to the engine's receipt: on the way, and in both queues.
    first_wave_receipt: Vec<f64>,
    later_receipt: Vec<f64>,
    first_wave_token: Vec<f64>,
    later_token: Vec<f64>,
    first_token_alone: Vec<f64>,
    tokens: Vec<f64>,
    gaps: Vec<f64>,
    ends: Vec<f64>,
    merged: u64,
}

impl Errors {
    fn add(&mut self, record: &Record, truth: &Truth, first_wave: bool) -> Result<(), String> {
        if let Err(failure) = &record.outcome {
            return Err(format!("request {}: {}: {}", record.index, failure.class, failure.message));
        }
        let counted = record.output.map_or(0, |(tokens, _)| tokens as usize);
        let (events, written) = (record.token_events as usize, truth.token_ns.len());
        if (events, counted) != (written, written) {
            let index = record.index;
            return Err(format!("request {index}: {written} tokens written, {events} events, {counted} counted"));
        }
        let missing = "a completed record without its times";
        let sent_ns = record.sent_ns.ok_or(missing)?;
        let first_ns = record.first_token_ns.ok_or(missing)?;
        let ms = |later: u64, earlier: u64| (later as f64 - earlier as f64) * 1e-6;
        let receipt = if first_wave { &mut self.first_wave_receipt } else { &mut self.later_receipt };
        receipt.push(ms(truth.received_ns, sent_ns));
        // Token events of one read have the same stamp, the last one's.
        let mut at_ns = first_ns as f64;
        let mut stamps = vec![at_ns];
        for gap in &record.gaps {
            at_ns += gap.seconds() * 1e9;
            stamps.push(at_ns);
        }
        let shares_a_read = |i: usize| {
            let zero = |gap: Option<&tachometer::client::Gap>| gap.is_some_and(|gap| gap.seconds() == 0.0);
            zero(i.checked_sub(1).and_then(|before| record.gaps.get(before))) || zero(record.gaps.get(i))
        };
        self.merged += (0..stamps.len()).filter(|&i| shares_a_read(i)).count() as u64;
        let first_token = if first_wave { &mut self.first_wave_token } else { &mut self.later_token };
        first_token.push(ms(first_ns, truth.token_ns[0]));
        if !shares_a_read(0) {
            self.first_token_alone.push(ms(first_ns, truth.token_ns[0]));
        }
        let error = |(stamp, written): (&f64, &u64)| (stamp - *written as f64) * 1e-6;
        self.tokens.extend(stamps.iter().zip(&truth.token_ns).map(error));
        let true_gaps = truth.token_ns.windows(2).map(|pair| ms(pair[1], pair[0]));
        self.gaps.extend(record.gaps.iter().zip(true_gaps).map(|(gap, truth)| (gap.seconds() * 1e3 - truth).abs()));
        self.ends.push(ms(record.end_ns, truth.ended_ns));
        Ok(())
    }

    fn print(&mut self) {
        let merged = 100.0 * self.merged as f64 / self.tokens.len().max(1) as f64;
        let rows = [
            ("first token, 1st wave", &mut self.first_wave_token),
            ("first token, later", &mut self.later_token),
            ("  not merged with others", &mut self.first_token_alone),
            ("every token", &mut self.tokens),
            ("gap (ITL), either way", &mut self.gaps),
            ("end, E2E", &mut self.ends),
            ("send to receipt, 1st wave", &mut self.first_wave_receipt),
            ("send to receipt, later", &mut self.later_receipt),
        ];
        println!("    beyond the truth, ms          p50      p99      max");
        for (name, values) in rows {
            match Distribution::of(std::mem::take(values)) {
                Some(of) => println!("    {name:<26} {:>7.3}  {:>7.3}  {:>7.3}", of.p50, of.p99, of.max),
                None => println!("    {name:<26}       -        -        -"),
            }
        }
        println!("    every token counted; {merged:.2} % came in one read with another");
    }
}
