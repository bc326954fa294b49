//! What holds for any input: however a stream is cut its events are the same, no bytes panic or grow without bound, and what
//! is written is read back.

#![cfg(feature = "harness")]

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tachometer::{
    client::{Api, ConnectionStats, Failure, FailureClass, Gap, Record, TokenSource},
    config::CsvFormat,
    internals::{
        Answer, EventTooLarge, History, SseDecoder, SseItem, append_csv, calibrate, calibration_from_json,
        error_message, estimates, to_json,
    },
    metrics::{ClientUse, PassMetrics},
    report_from_json,
    run::Report,
    stats::Stopping,
};

const LARGEST: usize = 1 << 16;

/// The bodies of the streams that were captured or made by hand; those in Base64 are left out.
static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams");
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let bodies = files.filter_map(|path| {
        let capture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let pieces = capture["response"]["body"].as_array()?;
        let body: Option<String> = pieces.iter().map(|piece| piece["text"].as_str()).collect();
        body.filter(|body| body.starts_with("data:") || body.starts_with(':')).map(String::into_bytes)
    });
    bodies.collect()
});

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, EventTooLarge> {
    let mut decoder = SseDecoder::new(LARGEST);
    let mut events = Vec::new();
    let mut take = |item: SseItem| {
        if let SseItem::Event { data, .. } = item {
            events.push(data.to_vec());
        }
    };
    for piece in pieces {
        decoder.feed(piece, &mut take)?;
    }
    decoder.finish(&mut take)?;
    Ok(events)
}

/// Cuts at these places, wherever they fall.
fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect()
}

#[test]
fn there_are_streams_to_cut() {
    assert!(STREAMS.len() > 100, "{}", STREAMS.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_any_capture_gives_the_same_events(which in any::<prop::sample::Index>(), places in vec(any::<usize>(), 0..40)) {
        let body = which.get(&STREAMS);
        prop_assert_eq!(decode(cut(body, &places)), decode([&body[..]]));
    }

    #[test]
    fn any_split_of_any_bytes_gives_the_same_events(
        body in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..300),
        places in vec(any::<usize>(), 0..40),
    ) {
        prop_assert_eq!(decode(cut(&body, &places)), decode([&body[..]]));
        let data = [b"data: ".as_slice(), &body, b"\n\n"].concat();
        prop_assert_eq!(decode(cut(&data, &places)), decode([&data[..]]));
    }

    #[test]
    fn an_event_without_end_is_given_up(byte in any::<u8>(), piece in 1_usize..5000) {
        let mut decoder = SseDecoder::new(1000);
        let piece = vec![byte; piece];
        let mut fed = 0;
        decoder.feed(b"data: ", |_| {}).unwrap();
        prop_assume!(byte != b'\n' && byte != b'\r');
        loop {
            fed += piece.len();
            if decoder.feed(&piece, |_| {}).is_err() {
                break;
            }
            prop_assert!(fed <= 1000, "{} bytes are held", fed);
        }
    }

    #[test]
    fn no_event_and_no_error_body_panics(bytes in vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        for data in [&bytes[..], text.as_bytes()] {
            _ = Api::default().take_item(&mut Answer::default(), b"", data);
            _ = Api::default().take_body(&mut Answer::default(), data);
            prop_assert!(error_message(data).len() < 1500);
        }
        prop_assert!(report_from_json(&text).is_err());
    }

    #[test]
    fn what_a_report_says_is_read_back(requests in vec(request(), 1..40), passes in 1_usize..4) {
        let client = ClientUse { threads: 1, ..ClientUse::default() };
        let of = |i: usize| PassMetrics::of(i as u64, "2026-01-01T00:00:00.000Z".to_owned(), &requests, ConnectionStats::default(), client);
        let passes: Vec<PassMetrics> = (0..passes).map(of).collect();
        let mut report = template();
        report.estimates = estimates(&passes, 0.95, Stopping::Planned);
        report.passes = passes;
        let json = to_json(&report).unwrap();
        // NaN and infinity are `null` in JSON, which no number is read from.
        prop_assert_eq!(report_from_json(&json), Ok(report.clone()));

        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path().join("history.jsonl"));
        history.append(&report).unwrap();
        history.append(&report).unwrap();
        let lines = history.read(&mut |warning| panic!("{warning}")).unwrap();
        // What pictures are drawn from is not in the history.
        let mut kept = report.clone();
        kept.passes.iter_mut().for_each(|pass| pass.histograms = None);
        prop_assert_eq!(lines, vec![kept.clone(), kept]);

        let csv = folder.path().join("rows.csv");
        append_csv(&csv, CsvFormat::Tachometer, &report).unwrap();
        let rows: Vec<csv::StringRecord> = csv::Reader::from_path(&csv).unwrap().records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), report.passes.len());
        for (row, pass) in rows.iter().zip(&report.passes) {
            prop_assert_eq!((&row[5], &row[6]), (&*pass.completed.to_string(), &*pass.failed.to_string()));
        }

        let calibration = calibrate(&report, report.clone(), 0.95);
        prop_assert_eq!(calibration_from_json(&to_json(&calibration).unwrap()), Ok(calibration));
    }
}

/// A request with any times, tokens and outcome.
fn request() -> impl Strategy<Value = Record> {
    let outcome = prop_oneof![
        3 => Just(Ok(())),
        // As the client words it: what acts without being seen is escaped.
        1 => (400_u16..600, "\\PC{0,40}").prop_map(|(status, message)| {
            Err(Failure::new(FailureClass::Http(status), error_message(message.as_bytes())))
        }),
    ];
    (outcome, 0_u64..1 << 40, vec(0_u64..1 << 33, 0..20), any::<bool>()).prop_map(
        |(outcome, sent_ns, gaps, streamed)| {
            let mut record = Record::new(0, 7, 20);
            record.sent_ns = Some(sent_ns);
            record.end_ns = sent_ns + gaps.iter().sum::<u64>();
            record.output = outcome.is_ok().then_some((gaps.len() as u32, TokenSource::Client));
            record.outcome = outcome;
            if let (true, Some(first)) = (streamed, gaps.first()) {
                record.first_token_ns = Some(sent_ns + first);
                record.last_token_ns = Some(record.end_ns);
                record.token_events = gaps.len() as u32;
                record.gaps = gaps[1..].iter().map(|gap| Gap::from_ns(*gap)).collect();
            }
            record
        },
    )
}

fn template() -> Report {
    let report = serde_json::json!({
        "schema_version": 1, "id": "a/c1", "tachometer_version": "0.1.0",
        "workload": {"name": "a", "digest": "", "dataset": "", "sampler": "filter-then-sample", "seed": 0, "num_prompts": 1,
            "api": "chat", "stream": true, "ignore_eos": true, "temperature": 1.0, "top_p": 1.0, "max_tokens": null, "warmup": 0},
        "load": {"kind": "closed", "concurrency": 1}, "server": {"url": "http://h", "model": "m", "embedded": false},
        "commit": null, "host": {"os": "linux", "arch": "x86_64", "cpu": "x", "cores": 1}, "started_at": "", "passes": [], "estimates": {},
        "comparison": null
    });
    report_from_json(&report.to_string()).unwrap()
}
