//! Conversations on the console: what became of them, and a line a turn.

use super::{
    block::{INDENT, WIDTH, wrapped},
    numbers::{Time, count, grouped},
};
use crate::{
    metrics::{Conversations, Distribution, PassMetrics, TurnMetrics},
    run::Report,
};

/// Turns that have a line each.
const TURNS: usize = 6;

/// Nothing where no conversation has more than one turn.
pub(super) fn conversation_lines(report: &Report) -> Vec<String> {
    let all: Vec<&Conversations> = report.passes.iter().filter_map(|pass| pass.conversations.as_ref()).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let sum = |of: fn(&Conversations) -> usize| all.iter().map(|pass| of(pass)).sum::<usize>();
    let median = |of: fn(&Conversations) -> Option<Distribution>| {
        mean(all.iter().filter_map(|pass| of(pass)).map(|distribution| distribution.p50))
    };
    let mut told = format!(
        "{} of {} completed",
        grouped(sum(|pass| pass.completed) as u64),
        count(sum(|pass| pass.started), "conversation", "conversations")
    );
    if let (Some(whole), Some(active)) = (median(|pass| pass.duration_s), median(|pass| pass.active_s)) {
        told += &format!(", in {} at the median", Time(whole));
        if active < whole {
            told += &format!(", {} without the pauses", Time(active));
        }
    }
    let not_sent = sum(|pass| pass.turns_not_sent);
    if not_sent > 0 {
        told += &format!(
            "; {} not sent, because an earlier one failed or the pass ended",
            count(not_sent, "turn", "turns")
        );
    }
    let mut lines = wrapped(&told, WIDTH - INDENT);
    lines.push(row(["turn", "sent", "ttft p50", "prompt", "cached", "ideal"]));
    let turns = all.iter().map(|pass| pass.by_turn.len()).max().unwrap_or_default();
    let by_turn = |turn: usize| all.iter().filter_map(|pass| pass.by_turn.get(turn)).collect::<Vec<_>>();
    lines.extend((0..turns.min(TURNS)).map(|turn| line(&(turn + 1).to_string(), &by_turn(turn))));
    if turns > TURNS {
        lines.push(line("last", &all.iter().filter_map(|pass| pass.last.as_ref()).collect::<Vec<_>>()));
        lines.push(format!("all {turns} turns: conversations.by_turn in report.json"));
    }
    lines
}

/// Of the same place in all passes: sums, and means over passes.
fn line(name: &str, turns: &[&TurnMetrics]) -> String {
    let sent: usize = turns.iter().map(|turn| turn.completed + turn.failed).sum();
    let ttft = mean(turns.iter().filter_map(|turn| turn.ttft_s).map(|ttft| ttft.p50));
    let prompt = mean(turns.iter().filter_map(|turn| turn.prompt_tokens).map(|tokens| tokens.mean));
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let cached = mean(turns.iter().filter_map(|turn| turn.cached_share));
    let ideal = mean(turns.iter().map(|turn| turn.ideal_cached_share));
    let ttft = ttft.map_or_else(|| "-".to_owned(), |ttft| Time(ttft).to_string());
    let prompt = prompt.map_or_else(|| "-".to_owned(), |tokens| grouped(tokens.round() as u64));
    row([name, &grouped(sent as u64), &ttft, &prompt, &share(cached), &share(ideal)])
}

fn row([turn, sent, ttft, prompt, cached, ideal]: [&str; 6]) -> String {
    format!("{turn:<4} {sent:>10} {ttft:>10} {prompt:>9} {cached:>7} {ideal:>7}")
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// What of the cache's ideal was reached, where the server says what came from it; of prompts alone, too.
pub(super) fn cached_words(passes: &[PassMetrics]) -> Option<String> {
    let ideal = mean(passes.iter().filter_map(|pass| pass.ideal_cached_share));
    ideal
        .filter(|ideal| *ideal > 0.0)
        .map(|ideal| format!(", of {:.0} % that an unlimited cache would hold", 100.0 * ideal))
}
