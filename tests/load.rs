//! Passes as a whole: what is stopped, sent again, counted and told, against a small server that says what it is asked to.

#![cfg(feature = "harness")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tachometer::{
    client::{Failure, FailureClass, Headers, Record, RequestWriter, Sampling, ServerUrl, Target, Timeouts, Trust},
    dataset::{History, Message, Prompt, Sequence},
    internals::arrivals_ns,
    load::{
        Arrival, FailureBudget, FailureLimit, Lasts, Observer, Pass, PassRecords, RequestRate, Schedule, Share, Start,
        Stop, StopReason, run_pass,
    },
};

const BODY: &str =
    r#"{"choices":[{"message":{"content":"A"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}"#;

/// Answers each request: with the status at its place in `statuses`, 200 beyond them; with 503 where the prompt says `fail`, and not at
/// all where it says `wait`.
fn serve(statuses: &'static [u16]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, counted) = (stream.unwrap(), counted.clone());
            std::thread::spawn(move || connection(stream, statuses, &counted));
        }
    });
    (url, requests)
}

fn connection(mut stream: TcpStream, statuses: &[u16], requests: &AtomicUsize) {
    let mut buffer = [0; 4096];
    // Each request of these tests comes in one piece.
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        let request = String::from_utf8_lossy(&buffer[..n]);
        if request.contains("wait") {
            continue;
        }
        let status = if request.contains("fail") { 503 } else { statuses.get(number).copied().unwrap_or(200) };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn pass(url: &str, texts: &[&str], schedule: Schedule) -> Pass {
    let sampling = Sampling::default();
    let target = Target::new(ServerUrl::parse(url).unwrap(), Timeouts::default(), &Trust::default()).unwrap();
    Pass {
        retries: 0,
        failures: FailureLimit::default(),
        stop: Stop::default(),
        writer: Arc::new(RequestWriter::new(&target.url, "m", &sampling, &Headers::default())),
        target: Arc::new(target),
        sampling: Arc::new(sampling),
        share: Share::default(),
        lasts: None,
        start: Arc::new(()),
        observer: Arc::new(()),
        prompts: texts.iter().map(|text| Prompt::new(*text, 1)).collect(),
        schedule,
        threads: 1,
        request_id_prefix: "r".into(),
    }
}

fn closed(concurrency: usize) -> Schedule {
    Schedule::Closed { concurrency }
}

fn open(n: usize) -> Schedule {
    let arrivals_ns = arrivals_ns(RequestRate(1000.0), Arrival::Constant, 1.0, n, 0).into();
    Schedule::Open { arrivals_ns, connections: n, max_in_flight: None }
}

/// Does something when the request of that number, counted from 1, has ended.
struct At<F>(AtomicUsize, usize, F);

impl<F: Fn() + Send + Sync> Observer for At<F> {
    fn ended(&self, _: &Record) {
        if self.0.fetch_add(1, Ordering::SeqCst) + 1 == self.1 {
            (self.2)();
        }
    }
}

/// Shares send each prompt once, at its time in the whole and under its id there.
#[test]
fn shares_of_a_pass_are_the_whole() {
    let (url, requests) = serve(&[]);
    let texts: Vec<String> = (0..23).map(|i| format!("prompt {i}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for schedule in [closed(5), open(23)] {
        let before = requests.load(Ordering::SeqCst);
        let start = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        let start_ns = start.tv_sec() as u64 * 1_000_000_000 + start.tv_nsec() as u64 + 50_000_000;
        let mut sent = Vec::new();
        for rank in 0..3 {
            let share = Share { rank, of: 3 };
            let start = Arc::new(Together(start_ns));
            let result = run_pass(&Pass { share, start, ..pass(&url, &texts, schedule.clone()) }).unwrap();
            assert_eq!((result.records.len(), result.stopped), (share.count(23), None));
            sent.extend(result.records);
        }
        sent.sort_by_key(|record| record.index);
        assert!(sent.iter().map(|record| record.index).eq(0..23) && sent.iter().all(Record::is_completed));
        assert_eq!(requests.load(Ordering::SeqCst) - before, 23);
        if let Schedule::Open { arrivals_ns, .. } = schedule {
            let due = sent.iter().map(|record| record.intended_ns.unwrap() - start_ns);
            assert!(due.eq(arrivals_ns.iter().copied()));
        }
    }
}

/// Three prompts, of which each record tells which it had, for so long.
fn repeated(url: &str, schedule: Schedule, time: Duration) -> Pass {
    let prompt = |tokens| Prompt { prompt_tokens: tokens, ..Prompt::new("now", 1) };
    let prompts: Sequence = (1..=3).map(prompt).collect();
    Pass { prompts, lasts: Some(Lasts::new(time, 3, 0)), ..pass(url, &[], schedule) }
}

fn prompts_of(records: &[Record]) -> Vec<u32> {
    records.iter().map(|record| record.prompt_tokens).collect()
}

/// Prompts are sent again, in another order each time, until the time is over: of a closed loop as many as that takes, of an open one as
/// many as its schedule has.
#[test]
fn a_pass_of_a_time_repeats_its_prompts() {
    let (url, _) = serve(&[]);
    let orders = |records: &[Record]| {
        assert!(records.iter().map(|record| record.index).eq(0..records.len()));
        let rounds: Vec<Vec<u32>> = prompts_of(records).chunks(3).map(<[u32]>::to_vec).collect();
        assert_eq!(rounds[0], [1, 2, 3]);
        for round in rounds.iter().filter(|round| round.len() == 3) {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [1, 2, 3]);
        }
        assert!(rounds.iter().any(|round| *round != rounds[0]));
        rounds
    };
    let hour = Duration::from_secs(3600);
    let whole = run_pass(&repeated(&url, open(30), hour)).unwrap();
    assert_eq!((whole.records.len(), whole.stopped), (30, None));
    let rounds = orders(&whole.records);
    // Stopped before its time, a closed loop is not whole, and has gone through the same orders.
    let cut = stop_at(repeated(&url, closed(1), hour), 30, StopReason::Interrupted);
    assert_eq!((cut.records.len(), cut.stopped), (30, Some(StopReason::Interrupted)));
    assert_eq!(orders(&cut.records), rounds);
    // So it is where it was stopped before it began.
    let never = repeated(&url, closed(1), hour);
    never.stop.stop(StopReason::Interrupted);
    let never = run_pass(&never).unwrap();
    assert_eq!((never.records.len(), never.stopped), (0, Some(StopReason::Interrupted)));
    // It goes on until its time is over, and no longer.
    let began = Instant::now();
    let time = Duration::from_millis(100);
    let timed = run_pass(&repeated(&url, closed(2), time)).unwrap();
    assert!(began.elapsed() >= time && timed.stopped.is_none() && timed.records.iter().all(Record::is_completed));
    assert!(timed.records.iter().map(|record| record.index).eq(0..timed.records.len()));
}

/// Of a time nobody knows how many requests there will be: what may fail is a share of those that have ended.
#[test]
fn a_pass_of_a_time_ends_where_too_many_fail() {
    let (url, _) = serve(&[503; 64]);
    let failures = FailureLimit::new(FailureBudget::Percent(10.0), None);
    let pass = Pass { failures, ..repeated(&url, closed(1), Duration::from_secs(3600)) };
    let result = run_pass(&pass).unwrap();
    assert_eq!((result.records.len(), result.stopped), (11, Some(StopReason::Failures)));
    // One of few is more than a tenth when the time is over.
    let (url, _) = serve(&[503]);
    let failures = FailureLimit::new(FailureBudget::Percent(10.0), None);
    let over = Arc::new(At(AtomicUsize::new(0), 1, || std::thread::sleep(Duration::from_millis(100))));
    let pass = Pass { failures, observer: over, ..repeated(&url, closed(1), Duration::from_millis(1)) };
    let result = run_pass(&pass).unwrap();
    assert_eq!((result.records.len(), result.stopped), (1, Some(StopReason::Failures)));
}

/// All shares begin at one moment.
struct Together(u64);

impl Start for Together {
    fn begin_ns(&self) -> u64 {
        self.0
    }
}

fn stop_at(mut pass: Pass, number: usize, reason: StopReason) -> PassRecords {
    let stop = pass.stop.clone();
    pass.observer = Arc::new(At(AtomicUsize::new(0), number, move || stop.stop(reason)));
    run_pass(&pass).unwrap()
}

fn classes(result: &PassRecords) -> Vec<(usize, Option<FailureClass>)> {
    let class = |record: &Record| record.outcome.as_ref().err().map(|failure| failure.class);
    result.records.iter().map(|record| (record.index, class(record))).collect()
}

const CANCELLED: Option<FailureClass> = Some(FailureClass::Cancelled);

/// What is in flight when a pass is stopped is told as cancelled, what was not begun is not told at all.
#[test]
fn a_pass_that_is_stopped_tells_what_was_in_flight() {
    let texts = ["wait", "now", "wait", "wait", "wait"];
    for (schedule, reason) in [(closed(3), StopReason::Interrupted), (closed(3), StopReason::Failures)] {
        let (url, _) = serve(&[]);
        let result = stop_at(pass(&url, &texts, schedule), 1, reason);
        assert_eq!(result.stopped, Some(reason));
        assert_eq!(classes(&result), [(0, CANCELLED), (1, None), (2, CANCELLED)]);
        assert!(result.records.iter().all(|record| record.end_ns > 0));
    }
    // An open loop has sent what was due.
    let (url, _) = serve(&[]);
    let result = stop_at(pass(&url, &["wait", "wait", "now"], open(3)), 1, StopReason::Interrupted);
    assert_eq!(classes(&result), [(0, CANCELLED), (1, CANCELLED), (2, None)]);
}

/// An interruption that comes when all have ended cuts nothing short; too many failures are too many even then.
#[test]
fn a_pass_that_is_stopped_at_its_end_is_whole_unless_it_failed() {
    for (reason, stopped) in [(StopReason::Interrupted, None), (StopReason::Failures, Some(StopReason::Failures))] {
        for schedule in [closed(1), open(3)] {
            let (url, _) = serve(&[]);
            let result = stop_at(pass(&url, &["now"; 3], schedule), 3, reason);
            assert_eq!((result.stopped, result.records.len()), (stopped, 3), "{reason:?}");
            assert!(result.records.iter().all(Record::is_completed));
        }
    }
}

/// So is one whose conversations have failed before, and one whose time is over.
#[test]
fn what_was_not_to_be_sent_is_not_cut_short() {
    let conversations = || -> Sequence {
        let texts = [("fail", 0), ("now", 1), ("now", 2), ("now", 0), ("now", 1)];
        texts.into_iter().map(|(text, turn)| Prompt { turn, ..Prompt::new(text, 1) }).collect()
    };
    let one_by_one = Schedule::Open { arrivals_ns: [0, 1].into(), connections: 1, max_in_flight: Some(1) };
    for schedule in [closed(1), one_by_one] {
        let (url, _) = serve(&[]);
        let pass = Pass { prompts: conversations(), ..pass(&url, &[], schedule) };
        let result = stop_at(pass, 3, StopReason::Interrupted);
        let failed = Some(FailureClass::Http(503));
        assert_eq!((result.stopped, classes(&result)), (None, vec![(0, failed), (3, None), (4, None)]));
    }
    let (url, _) = serve(&[]);
    let mut pass = repeated(&url, closed(1), Duration::from_millis(1));
    let stop = pass.stop.clone();
    pass.observer = Arc::new(At(AtomicUsize::new(0), 1, move || {
        std::thread::sleep(Duration::from_millis(100));
        stop.stop(StopReason::Interrupted);
    }));
    let result = run_pass(&pass).unwrap();
    assert_eq!((result.stopped, result.records.len()), (None, 1));
}

/// So often as is allowed, where that may help, after a pause that doubles; time runs from the first send.
#[test]
fn a_failed_request_is_sent_again_as_often_as_may_be() {
    let table: &[(&'static [u16], u32, usize, Option<FailureClass>)] = &[
        (&[503, 503], 2, 3, None),
        (&[503, 503], 3, 3, None),
        (&[503, 503], 1, 2, Some(FailureClass::Http(503))),
        (&[503], 0, 1, Some(FailureClass::Http(503))),
        // The request itself is wrong.
        (&[400], 2, 1, Some(FailureClass::Http(400))),
        (&[], 2, 1, None),
    ];
    for (statuses, retries, requests, class) in table {
        let (url, counted) = serve(statuses);
        let pass = Pass { retries: *retries, ..pass(&url, &["now"], closed(1)) };
        let result = run_pass(&pass).unwrap();
        assert_eq!(classes(&result), [(0, *class)], "{statuses:?}");
        let record = &result.records[0];
        assert_eq!(
            (counted.load(Ordering::SeqCst), record.retries as usize),
            (*requests, requests - 1),
            "{statuses:?}"
        );
        let paused_s = [0.0, 0.1, 0.3][requests - 1];
        assert!((record.end_ns - record.sent_ns.unwrap()) as f64 * 1e-9 >= paused_s, "{statuses:?}");
    }
}

/// A task that panics ends the pass as a panic of whoever runs it.
#[test]
fn a_panic_is_passed_on() {
    for schedule in [closed(2), open(4)] {
        let (url, _) = serve(&[]);
        let mut pass = pass(&url, &["now"; 4], schedule);
        pass.observer = Arc::new(At(AtomicUsize::new(0), 2, || panic!("told by the observer")));
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| run_pass(&pass))).err().expect("a panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"told by the observer"));
    }
}

/// Takes a second of CPU time to say when a pass begins.
struct Laborious;

impl Start for Laborious {
    fn begin_ns(&self) -> u64 {
        let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        while cpu() < Duration::from_secs(1) {
            std::hint::spin_loop();
        }
        ().begin_ns()
    }
}

/// The CPU time is that of the pass from its begin on, and the timers are looked at.
#[test]
fn what_the_client_used_is_told() {
    let (url, _) = serve(&[]);
    let late = Pass { start: Arc::new(Laborious), ..pass(&url, &["now"; 5], closed(1)) };
    let cpu_s = run_pass(&late).unwrap().client.used().cpu_s.unwrap();
    assert!((1e-6..0.9).contains(&cpu_s), "{cpu_s}");
    let ended: Arc<Mutex<Option<Instant>>> = Arc::default();
    let (url, _) = serve(&[]);
    // 200 ms of arrivals: ticks of the timers lie between them.
    let arrivals_ns = (0..5).map(|i| i * 50_000_000).collect();
    let schedule = Schedule::Open { arrivals_ns, connections: 2, max_in_flight: None };
    let mut pass = pass(&url, &["now"; 5], schedule);
    let told = ended.clone();
    pass.observer = Arc::new(At(AtomicUsize::new(0), 5, move || *told.lock().unwrap() = Some(Instant::now())));
    let client = run_pass(&pass).unwrap().client.used();
    assert!(ended.lock().unwrap().is_some());
    let cpu_s = client.cpu_s.unwrap();
    assert!((1e-6..0.9).contains(&cpu_s), "{cpu_s}");
    assert_eq!(client.threads, 1);
    let timers = client.timer_late_s.unwrap();
    assert!(timers.p50 > 1e-9 && timers.p50 <= timers.p99 && timers.p99 < 60.0, "{timers:?}");
    if let Some(reads) = client.read_late_s {
        assert!(reads.p50 <= reads.p99 && reads.p99 < 60.0, "{reads:?}");
    }
}

/// Nothing is sent where a connection can't be opened.
#[test]
fn a_server_that_is_not_there_fails_the_pass() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for schedule in [closed(2), open(2)] {
        let pass = Pass { threads: 2, ..pass(&format!("http://{gone}"), &["now"; 4], schedule) };
        let failure: Failure = run_pass(&pass).err().unwrap();
        assert_eq!(failure.class, FailureClass::Connect);
    }
}

/// Answers each request with `A`, or with the status at its place, and keeps the bodies.
fn listen(statuses: &'static [u16]) -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = bodies.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept) = (stream.unwrap(), kept.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 1 << 16];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                    let body = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(body);
                        kept.len() - 1
                    };
                    let status = statuses.get(number).copied().unwrap_or(200);
                    let head = "X\r\ncontent-type: application/json\r\ncontent-length:";
                    let answer = format!("HTTP/1.1 {status} {head} {}\r\n\r\n{BODY}", BODY.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, bodies)
}

/// A conversation of three turns and one of two, with a pause before each further turn.
fn conversations(pause: Duration) -> Sequence {
    let message = |role: &str, content: &str| Message { role: role.to_owned(), content: content.to_owned() };
    let prompts = [("a", 3), ("b", 2)].into_iter().enumerate().flat_map(|(conversation, (name, turns))| {
        let said = (0..turns).flat_map(|turn| {
            [message("user", &format!("{name}{turn}")), message("assistant", &format!("recorded {name}{turn}"))]
        });
        let history: History = said.collect();
        (0..turns).map(move |turn| Prompt {
            conversation,
            turn: turn as u32,
            pause,
            before: history.beginning(2 * turn),
            prompt_tokens: 10 * turn as u32 + 1,
            ..Prompt::new(format!("{name}{turn}"), 1)
        })
    });
    prompts.collect()
}

/// What a body says: the contents of its messages.
fn contents(body: &Value) -> Vec<&str> {
    body["messages"].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap()).collect()
}

/// Each turn goes out when the one before it has ended and its pause is over, with what was said before.
#[test]
fn turns_of_a_conversation_follow_one_another() {
    let pause = Duration::from_millis(30);
    for schedule in [closed(2), closed(1), open(2)] {
        let (url, bodies) = listen(&[]);
        let is_open = matches!(schedule, Schedule::Open { .. });
        let result = run_pass(&Pass { prompts: conversations(pause), ..pass(&url, &[], schedule) }).unwrap();
        assert_eq!((result.records.len(), result.stopped), (5, None));
        assert!(result.records.iter().all(Record::is_completed));
        assert!(result.records.iter().map(|record| (record.index, record.turn)).eq([
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 0),
            (4, 1)
        ]));
        assert!(result.records.iter().all(|record| (record.pause_ns > 0) == (record.turn > 0)));
        for (before, next) in [(0, 1), (1, 2), (3, 4)].map(|(a, b)| (&result.records[a], &result.records[b])) {
            let waited = next.sent_ns.unwrap() - before.end_ns;
            assert!(waited >= 30_000_000 && next.pause_ns == 30_000_000, "{waited}");
            // The time between the two is nobody's latency.
            assert_eq!(next.intended_ns.is_some(), is_open);
            assert!(next.intended_ns.is_none_or(|due_ns| due_ns >= before.end_ns + 30_000_000));
        }
        let bodies = bodies.lock().unwrap();
        let last = bodies.iter().find(|body| contents(body).last() == Some(&"a2")).unwrap();
        assert_eq!(contents(last), ["a0", "recorded a0", "a1", "recorded a1", "a2"]);
    }
}

/// The rest of it is not sent, and the pass is whole all the same.
#[test]
fn a_turn_that_fails_ends_its_conversation() {
    for schedule in [closed(1), open(2)] {
        let is_open = matches!(schedule, Schedule::Open { .. });
        let (url, bodies) = listen(if is_open { &[500, 500] } else { &[200, 500] });
        let result = run_pass(&Pass { prompts: conversations(Duration::ZERO), ..pass(&url, &[], schedule) }).unwrap();
        let ended: Vec<(usize, bool)> = result.records.iter().map(|r| (r.index, r.is_completed())).collect();
        let expected =
            if is_open { vec![(0, false), (3, false)] } else { vec![(0, true), (1, false), (3, true), (4, true)] };
        assert_eq!((ended, result.stopped), (expected, None));
        assert_eq!(bodies.lock().unwrap().len(), result.records.len());
    }
}

/// In place of the answers that the dataset has.
#[test]
fn the_servers_own_answers_stand_in_a_live_history() {
    let (url, bodies) = listen(&[]);
    let prompts = conversations(Duration::ZERO).live();
    let result = run_pass(&Pass { prompts, ..pass(&url, &[], closed(1)) }).unwrap();
    let bodies = bodies.lock().unwrap();
    assert_eq!(contents(&bodies[2]), ["a0", "A", "a1", "A", "a2"]);
    assert_eq!(contents(&bodies[4]), ["b0", "A", "b1"]);
    // Its own tokens, and those of what was said before, an answer of one token among them each time.
    let tokens = result.records.iter().map(|record| (record.prompt_tokens, record.shared_tokens));
    assert!(tokens.eq([(1, 0), (13, 2), (35, 14), (1, 0), (13, 2)]), "{:?}", result.records);
}

/// Whole conversations in a new order, as long as there is time.
#[test]
fn conversations_repeat_in_a_pass_of_a_time() {
    let (url, _) = listen(&[]);
    let time = Duration::from_millis(500);
    let prompts = conversations(Duration::ZERO);
    let lasts = Some(Lasts::new(time, prompts.conversations(), 0));
    let result = run_pass(&Pass { prompts, lasts, ..pass(&url, &[], closed(1)) }).unwrap();
    assert_eq!(result.stopped, None);
    let turns = [0, 1, 2, 0, 1];
    assert!(result.records.iter().all(|record| record.turn == turns[record.index % 5]), "{:?}", result.records);
    assert!(result.records.iter().any(|record| record.index >= 5), "{}", result.records.len());
    for pair in result.records.windows(2).filter(|pair| pair[1].turn > 0) {
        assert_eq!((pair[1].index, pair[1].turn), (pair[0].index + 1, pair[0].turn + 1));
        assert!(pair[1].sent_ns.unwrap() >= pair[0].end_ns);
    }
}
