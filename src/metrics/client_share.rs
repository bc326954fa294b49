//! How much of what was measured is the client's own doing.

use crate::client::Record;

/// In a closed loop of so many clients: the share of their time, from the first send to the last, that lay between the end of an
/// answer and the next send. Waits for the end of bodies that the server left open are the server's, and left out. Of conversations it is the
/// share of their time without the pauses, between their own turns: who has none to begin with waits for nobody.
///
/// In an open loop, whose latencies count from the intended send: how late requests were sent on average, as a share of the mean time
/// to first token, or of the mean latency without streaming.
///
/// `None` where no client has sent twice, or nothing was completed.
pub fn client_share(records: &[Record], concurrency: Option<usize>) -> Option<f64> {
    match concurrency {
        Some(_) if records.iter().any(|record| record.turn > 0) => between_turns(records),
        Some(clients) => between_answer_and_send(records, clients),
        None => lateness(records),
    }
}

fn between_answer_and_send(records: &[Record], clients: usize) -> Option<f64> {
    let mut sent: Vec<&Record> = records.iter().filter(|record| record.sent_ns.is_some()).collect();
    // The ends that a send followed are the first ones; which client each was does not matter to their sum.
    let followed = sent.len().checked_sub(clients).filter(|n| *n > 0)?;
    let mut sends: Vec<u64> = sent.iter().filter_map(|record| record.sent_ns).collect();
    sends.sort_unstable();
    sent.sort_unstable_by_key(|record| record.end_ns);
    let ends = sent.iter().take(followed);
    let between: i128 = ends
        .zip(&sends[clients..])
        .map(|(ended, send)| i128::from(*send) - i128::from(ended.end_ns) - i128::from(ended.end_wait_ns))
        .sum();
    let all = (sends.last()? - sends.first()?) as f64 * clients as f64;
    (all > 0.0).then(|| (between as f64 / all).max(0.0))
}

/// Of records in the order of their positions.
fn between_turns(records: &[Record]) -> Option<f64> {
    let pairs = records.windows(2).filter(|pair| pair[1].turn > 0 && pair[1].index == pair[0].index + 1);
    let of_pair = |pair: &[Record]| {
        let [before, next] = pair else { return None };
        let sent_ns = i128::from(next.sent_ns?) - i128::from(next.pause_ns);
        let between = sent_ns - i128::from(before.end_ns) - i128::from(before.end_wait_ns);
        Some((between, sent_ns - i128::from(before.sent_ns?)))
    };
    let (between, all) = pairs.filter_map(of_pair).fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    (all > 0).then(|| (between as f64 / all as f64).max(0.0))
}

fn lateness(records: &[Record]) -> Option<f64> {
    let completed = records.iter().filter(|record| record.is_completed());
    let both = completed.filter_map(|record| record.send_lag_s().zip(record.ttft_s().or(record.e2e_s())));
    let (lag, latency) = both.fold((0.0, 0.0), |sum, (lag, latency)| (sum.0 + lag, sum.1 + latency));
    (latency > 0.0).then(|| lag / latency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Failure, FailureClass};

    fn record(intended_ms: Option<u64>, sent_ms: u64, end_ms: u64) -> Record {
        let mut record = Record::new(0, 1, 1);
        record.intended_ns = intended_ms.map(|ms| ms * 1_000_000);
        (record.sent_ns, record.end_ns) = (Some(sent_ms * 1_000_000), end_ms * 1_000_000);
        record
    }

    fn near(got: Option<f64>, expected: f64) {
        assert!(got.is_some_and(|got| (got - expected).abs() < 1e-9), "{got:?}, not {expected}");
    }

    #[test]
    fn conversations_lose_what_lies_between_their_turns() {
        let turn = |index: usize, turn: u32, sent_ms, end_ms, pause_ms: u64| {
            let mut record = record(None, sent_ms, end_ms);
            (record.index, record.turn, record.pause_ns) = (index, turn, pause_ms * 1_000_000);
            record
        };
        // 10 ms before each second turn, of 110 and of 60 ms; the pause is nobody's, and so is the time before another conversation.
        let mut records =
            [turn(0, 0, 0, 100, 0), turn(1, 1, 160, 260, 50), turn(2, 0, 900, 950, 0), turn(3, 1, 960, 970, 0)];
        near(client_share(&records, Some(2)), 20.0 / 170.0);
        records[0].end_wait_ns = 10_000_000;
        near(client_share(&records, Some(2)), 10.0 / 170.0);
        assert_eq!(client_share(&[turn(0, 0, 5, 5, 0), turn(1, 1, 5, 5, 0)], Some(1)), None);
    }

    #[test]
    fn closed_loops_lose_what_lies_between_an_answer_and_the_next_send() {
        // Two clients: one sends at 0, 110, 220, the other at 0 and 210; 10 ms lie before each further send.
        let mut records = [
            record(None, 0, 100),
            record(None, 110, 210),
            record(None, 0, 200),
            record(None, 210, 400),
            record(None, 220, 300),
        ];
        near(client_share(&records, Some(2)), 30.0 / (2.0 * 220.0));
        // Of which the first 10 ms were a wait for a body that stayed open.
        records[0].end_wait_ns = 10_000_000;
        near(client_share(&records, Some(2)), 20.0 / (2.0 * 220.0));
        // Whenever that was.
        let later = |record: &Record| {
            let mut later = record.clone();
            (later.sent_ns, later.end_ns) =
                (record.sent_ns.map(|ns| ns + 7_000_000_000), record.end_ns + 7_000_000_000);
            later
        };
        near(client_share(&records.iter().map(later).collect::<Vec<_>>(), Some(2)), 20.0 / (2.0 * 220.0));
        // Of no time there is no share.
        assert_eq!(client_share(&[record(None, 5, 5), record(None, 5, 5)], Some(1)), None);
        // Whoever has sent once only has lost nothing yet.
        assert_eq!(client_share(&records, Some(5)), None);
        assert_eq!(client_share(&records, Some(6)), None);
        assert_eq!(client_share(&[], Some(1)), None);
        // What was never sent counts for nothing.
        let mut unsent = Record::new(0, 1, 1);
        unsent.end_ns = 1;
        let with = [&records[..], &[unsent]].concat();
        near(client_share(&with, Some(2)), 20.0 / (2.0 * 220.0));
        // An answer that another client's send overtook is no time won.
        near(client_share(&[record(None, 0, 100), record(None, 90, 200)], Some(1)), 0.0);
    }

    #[test]
    fn open_loops_lose_what_sends_are_late_by() {
        let mut records = [record(Some(0), 1, 50), record(Some(10), 13, 60), record(Some(40), 42, 70)];
        near(client_share(&records, None), 6.0 / 130.0);
        // Of the first tokens, where they are known; failed requests have no latency.
        (0..3).for_each(|i| records[i].first_token_ns = Some(20_000_000 * (i as u64 + 1)));
        near(client_share(&records, None), 6.0 / 70.0);
        records[1].outcome = Err(Failure::new(FailureClass::Reset, ""));
        near(client_share(&records, None), 3.0 / 40.0);
        assert_eq!(client_share(&[record(None, 1, 2), record(None, 1, 2)], None), None);
        assert_eq!(client_share(&[], None), None);
    }
}
