//! What conversations of several turns were like, turn by turn.

use serde::{Deserialize, Serialize};

use super::Distribution;
use crate::{client::Record, dataset::Prompt};

/// The conversations of a pass: `passes[].conversations` of report.json. Only of a pass in which any has more than one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Conversations {
    /// Conversations whose first turn was sent.
    pub started: usize,
    /// Those of which each turn was completed.
    pub completed: usize,
    /// Turns that were not sent, since one before them had failed, or the pass was over.
    pub turns_not_sent: usize,
    /// From the first send to the last end of those that were completed, in seconds.
    pub duration_s: Option<Distribution>,
    /// The same without the pauses.
    pub active_s: Option<Distribution>,
    /// The first turns of all conversations.
    pub first: Option<TurnMetrics>,
    /// Those between.
    pub middle: Option<TurnMetrics>,
    /// The last turns of all conversations.
    pub last: Option<TurnMetrics>,
    /// By their place in the conversation: the first turns, the second ones, and so on.
    pub by_turn: Vec<TurnMetrics>,
}

/// Turns at one place in their conversations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TurnMetrics {
    /// Turns that were completed.
    pub completed: usize,
    /// Turns that failed.
    pub failed: usize,
    /// Time to first token of the completed ones.
    pub ttft_s: Option<Distribution>,
    /// Their end-to-end latency.
    pub e2e_s: Option<Distribution>,
    /// Tokens of their prompts, with all that was said before: the server's count where it gave one, else the client's.
    pub prompt_tokens: Option<Distribution>,
    /// Share of those that came from the server's cache, where it says so.
    pub cached_share: Option<f64>,
    /// Share of those that a cache without limits would hold, by the client's count.
    pub ideal_cached_share: f64,
}

const NS: f64 = 1e-9;

impl Conversations {
    /// Of the records of a pass that sent these prompts, in the order of their positions; `None` where each stands alone.
    pub fn of(records: &[Record], prompts: &[Prompt]) -> Option<Self> {
        if prompts.iter().all(|prompt| prompt.turn == 0) {
            return None;
        }
        // Those of one conversation follow one another, also where prompts are sent again.
        let sessions: Vec<&[Record]> = records.chunk_by(|a, b| b.turn > a.turn && b.index == a.index + 1).collect();
        let planned = |session: &[Record]| {
            let (first, place) = (&session[0], session[0].index % prompts.len());
            let turns =
                prompts[place..].iter().enumerate().take_while(|(i, prompt)| *i == 0 || prompt.turn > 0).count();
            turns + first.turn as usize
        };
        let is_whole = |session: &[Record]| {
            session[0].turn == 0 && session.len() == planned(session) && session.iter().all(Record::is_completed)
        };
        let whole: Vec<&[Record]> = sessions.iter().copied().filter(|session| is_whole(session)).collect();
        let span_s = |session: &&[Record]| {
            let sent_ns = session[0].sent_ns?;
            Some(session[session.len() - 1].end_ns.saturating_sub(sent_ns) as f64 * NS)
        };
        let pauses_s = |session: &[Record]| session.iter().map(|record| record.pause_ns as f64 * NS).sum::<f64>();
        let all = |chosen: &dyn Fn(&[Record], usize) -> bool| {
            let chosen = sessions.iter().copied().flat_map(|session| {
                session.iter().enumerate().filter(move |(i, _)| chosen(session, *i)).map(|(_, record)| record)
            });
            TurnMetrics::of(&chosen.collect::<Vec<_>>())
        };
        let is_last = |session: &[Record], i: usize| session[i].turn as usize + 1 == planned(session);
        let turns = records.iter().map(|record| record.turn as usize + 1).max().unwrap_or_default();
        Some(Self {
            started: sessions.len(),
            completed: whole.len(),
            turns_not_sent: sessions.iter().map(|session| planned(session) - session.len()).sum(),
            duration_s: Distribution::of(whole.iter().filter_map(span_s).collect()),
            active_s: Distribution::of(
                whole.iter().filter_map(|session| Some(span_s(session)? - pauses_s(session))).collect(),
            ),
            first: all(&|session, i| session[i].turn == 0),
            middle: all(&|session, i| session[i].turn > 0 && !is_last(session, i)),
            last: all(&|session, i| session[i].turn > 0 && is_last(session, i)),
            by_turn: (0..turns).filter_map(|turn| all(&|session, i| session[i].turn as usize == turn)).collect(),
        })
    }
}

impl TurnMetrics {
    /// `None` of no turns.
    fn of(records: &[&Record]) -> Option<Self> {
        if records.is_empty() {
            return None;
        }
        let completed: Vec<&Record> = records.iter().copied().filter(|record| record.is_completed()).collect();
        let latency =
            |of: fn(&Record) -> Option<f64>| Distribution::of(completed.iter().filter_map(|r| of(r)).collect());
        let prompt: f64 = completed.iter().map(|record| f64::from(record.input_tokens())).sum();
        let cached = completed.iter().filter_map(|record| record.usage?.cached_tokens).map(f64::from);
        Some(Self {
            completed: completed.len(),
            failed: records.len() - completed.len(),
            ttft_s: latency(Record::ttft_s),
            e2e_s: latency(Record::e2e_s),
            prompt_tokens: Distribution::of(completed.iter().map(|record| record.input_tokens().into()).collect()),
            cached_share: cached.reduce(|a, b| a + b).map(|cached| cached / prompt.max(1.0)),
            ideal_cached_share: ideal_cached_share(&completed).unwrap_or(0.0),
        })
    }
}

/// Share of the prompt tokens that an earlier prompt began with, by the client's count; `None` where there are none.
pub(super) fn ideal_cached_share(completed: &[&Record]) -> Option<f64> {
    let sum = |of: fn(&Record) -> u32| completed.iter().map(|record| f64::from(of(record))).sum::<f64>();
    let shared = Some(sum(|record| record.shared_tokens)).filter(|tokens| *tokens > 0.0)?;
    Some(shared / sum(|record| record.prompt_tokens).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Failure, FailureClass, Usage};

    /// A turn of 100 ms, with its first token after 10 ms times its place from 1.
    fn record(index: usize, turn: u32, sent_ms: u64) -> Record {
        let ns = |ms: u64| ms * 1_000_000;
        let mut record = Record::new(index, 100 * (turn + 1), 5);
        (record.turn, record.shared_tokens) = (turn, 100 * turn);
        (record.sent_ns, record.end_ns) = (Some(ns(sent_ms)), ns(sent_ms + 100));
        record.first_token_ns = Some(ns(sent_ms + 10 * u64::from(turn + 1)));
        record.pause_ns = if turn > 0 { ns(50) } else { 0 };
        record.usage = Some(Usage { prompt_tokens: None, cached_tokens: Some(80 * turn), ..Usage::default() });
        record
    }

    fn prompts(turns: &[u32]) -> Vec<Prompt> {
        turns.iter().map(|&turn| Prompt { turn, ..Prompt::new("a", 5) }).collect()
    }

    #[test]
    fn turns_are_told_apart_by_their_place() {
        let records = [record(0, 0, 0), record(1, 1, 150), record(2, 2, 300), record(3, 0, 0), record(4, 1, 150)];
        let of = Conversations::of(&records, &prompts(&[0, 1, 2, 0, 1])).unwrap();
        assert_eq!((of.started, of.completed, of.turns_not_sent), (2, 2, 0));
        let mean = |distribution: Option<Distribution>| (distribution.unwrap().mean * 1e3).round();
        assert_eq!((mean(of.duration_s), mean(of.active_s)), (325.0, 250.0));
        let places: Vec<(usize, f64)> = of.by_turn.iter().map(|turn| (turn.completed, mean(turn.ttft_s))).collect();
        assert_eq!(places, [(2, 10.0), (2, 20.0), (1, 30.0)]);
        let [first, middle, last] = [of.first, of.middle, of.last].map(Option::unwrap);
        assert_eq!([first.completed, middle.completed, last.completed], [2, 1, 2]);
        assert_eq!((mean(last.ttft_s), last.prompt_tokens.unwrap().mean), (25.0, 250.0));
        assert_eq!((first.cached_share, middle.cached_share), (Some(0.0), Some(0.4)));
        assert_eq!((first.ideal_cached_share, middle.ideal_cached_share), (0.0, 0.5));
        assert_eq!(last.cached_share, Some(0.48), "160 of 300 and 80 of 200");
        assert_eq!(ideal_cached_share(&[&records[0]]), None, "it has no earlier prompt");
    }

    #[test]
    fn a_prompt_that_stands_alone_is_a_conversation() {
        let records = [record(0, 0, 0), record(1, 0, 0), record(2, 1, 150)];
        let of = Conversations::of(&records, &prompts(&[0, 0, 1])).unwrap();
        assert_eq!((of.started, of.completed, of.turns_not_sent), (2, 2, 0));
        assert_eq!((of.first.unwrap().completed, of.last.unwrap().completed), (2, 1));
    }

    #[test]
    fn what_was_not_sent_any_more() {
        // The first turn alone, and one whose first turn nobody knows of.
        for (records, not_sent) in [([record(0, 0, 0)], 2), ([record(1, 1, 150)], 2)] {
            let of = Conversations::of(&records, &prompts(&[0, 1, 2])).unwrap();
            assert_eq!((of.started, of.completed, of.turns_not_sent), (1, 0, not_sent));
        }
    }

    #[test]
    fn a_turn_that_fails_ends_its_conversation() {
        let mut failed = record(1, 1, 150);
        failed.outcome = Err(Failure::new(FailureClass::Reset, ""));
        let records = [record(0, 0, 0), failed, record(3, 0, 0), record(4, 1, 150)];
        let of = Conversations::of(&records, &prompts(&[0, 1, 2, 0, 1])).unwrap();
        assert_eq!((of.started, of.completed, of.turns_not_sent), (2, 1, 1));
        assert_eq!((of.by_turn[1].completed, of.by_turn[1].failed, of.by_turn.len()), (1, 1, 2));
        // The one that failed was not its last.
        assert_eq!((of.middle.unwrap().failed, of.last.unwrap().completed), (1, 1));
        // Sent again, they are other conversations.
        let again = [record(0, 0, 0), record(1, 1, 150), record(2, 0, 300), record(3, 1, 450)];
        assert_eq!(Conversations::of(&again, &prompts(&[0, 1])).unwrap().completed, 2);
    }

    #[test]
    fn prompts_alone_are_none() {
        assert_eq!(Conversations::of(&[record(0, 0, 0)], &prompts(&[0])), None);
    }
}
