//! The most load that holds, on the console.

use super::{
    block::{Style, paint},
    numbers::{count, significant},
};
use crate::{
    load::Searched,
    run::{Boundary, BoundaryChange, Moved},
    stats::State,
};

/// A load with its unit: `12.5 requests/s`, `16 clients`.
pub fn load_words(load: f64, searched: Searched) -> String {
    match searched {
        Searched::Concurrency => count(load as usize, "client", "clients"),
        Searched::Rate => format!("{} {}", load_number(load, searched), searched.unit()),
    }
}

fn load_number(load: f64, searched: Searched) -> String {
    match searched {
        Searched::Rate => {
            let text = significant(load);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        Searched::Concurrency => format!("{load:.0}"),
    }
}

/// Its two ends: `[12.5 13]`.
pub(super) fn bracket(boundary: &Boundary) -> String {
    ends(boundary.highest_met, boundary.lowest_missed, boundary.searched)
}

fn ends(low: Option<f64>, high: Option<f64>, searched: Searched) -> String {
    let end = |load: Option<f64>| load.map_or_else(|| "-".to_owned(), |load| load_number(load, searched));
    format!("[{} {}]", end(low), end(high))
}

/// What a search has found, how it got there, and what to do with it.
pub(super) fn boundary_lines(boundary: &Boundary, style: Style) -> Vec<String> {
    let words = |load: f64| load_words(load, boundary.searched);
    let mut lines = Vec::new();
    match (boundary.highest_met, boundary.lowest_missed) {
        (Some(low), Some(high)) => {
            lines.push(format!("holds at {}, but not at {}", words(low), load_number(high, boundary.searched)));
            if high / low > (1.0 + boundary.precision) * (1.0 + 1e-9)
                && (boundary.searched == Searched::Rate || high - low > 1.0)
            {
                lines.push(match boundary.undecided.as_slice() {
                    [] => "  the search ended before it reached the requested precision".to_owned(),
                    some => {
                        let some: Vec<String> = some.iter().map(|load| load_number(*load, boundary.searched)).collect();
                        format!("  undecided in between: {}", some.join(", "))
                    }
                });
            }
        }
        (Some(low), None) => lines.push(format!("holds at {}, the highest load tried", words(low))),
        (None, Some(high)) => lines.push(format!("does not hold at {}, nor at any lower load tried", words(high))),
        (None, None) => lines.push("nothing could be decided".to_owned()),
    }
    if !boundary.broken.is_empty() {
        // An objective, or a sentence.
        let tell = |broken: &String| match boundary.objectives.contains(broken) {
            true => format!("{broken} is missed"),
            false => broken.clone(),
        };
        lines.push(format!("  beyond, {}", boundary.broken.iter().map(tell).collect::<Vec<_>>().join(", ")));
    }
    if !boundary.not_monotonic.is_empty() {
        let some: Vec<String> =
            boundary.not_monotonic.iter().map(|load| load_number(*load, boundary.searched)).collect();
        lines.push(format!("  NOT MONOTONIC: {} did not hold, although a higher load did", some.join(", ")));
    }
    if !boundary.verified && boundary.highest_met.is_some() {
        lines.push("  one end gave a different result when measured again".to_owned());
    }
    let mut loads: Vec<f64> = boundary.points.iter().map(|point| point.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    let passes = boundary.points.iter().map(|point| point.passes).sum();
    lines.push(format!(
        "  {} tried, {}, to a precision of {} %",
        count(loads.len(), "load", "loads"),
        count(passes, "pass", "passes"),
        boundary.precision * 100.0
    ));
    lines.extend(boundary.highest_met.and_then(|low| proposal(low, boundary.searched)));
    lines.extend(boundary.comparison.iter().flat_map(|change| moved_lines(change, boundary.searched, style)));
    if style.verbose {
        lines.extend(boundary.points.iter().map(|point| {
            let state = match point.state {
                State::Met => "holds",
                State::Missed => "does not hold",
                State::Undecided => "undecided",
            };
            let because = point.because.as_ref().map_or_else(String::new, |because| format!(": {because}"));
            let passes = count(point.passes, "pass", "passes");
            format!("  {:<7} {:>10} {state}, {passes}{because}", point.step, load_number(point.load, boundary.searched))
        }));
    }
    lines
}

/// A fixed load a little below, at which regressions are gated: its latencies vary less than the boundary does.
fn proposal(low: f64, searched: Searched) -> Option<String> {
    let load = match searched {
        Searched::Rate => format!("{:.2e}", low * 0.9).parse::<f64>().ok()?.to_string(),
        Searched::Concurrency => format!("{:.0}", (low * 0.9).floor().max(1.0)),
    };
    Some(format!("  to gate regressions near it: {} {load}", searched.flag()))
}

fn moved_lines(change: &BoundaryChange, searched: Searched, style: Style) -> Vec<String> {
    let color = match change.verdict {
        Moved::Up => "\x1b[32m",
        Moved::Down => "\x1b[31m",
        Moved::Same => "",
        Moved::Undecided | Moved::NotComparable => "\x1b[33m",
    };
    let was = ends(change.highest_met, change.lowest_missed, searched);
    let mut lines =
        vec![format!("  {}, from {was} of {}", paint(&change.verdict.to_string(), color, style), change.baseline)];
    lines.extend(change.why_not.iter().map(|why| format!("  {why}")));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines(edit: impl FnOnce(&mut Value)) -> String {
        let mut boundary = json!({
            "searched": "rate", "objectives": ["ttft_p50 < 1 s"], "precision": 0.05, "highest_met": 12.5, "lowest_missed": 13.0,
            "undecided": [], "not_monotonic": [], "verified": true, "broken": ["ttft_p50 < 1 s"],
            "points": [
                {"load": 8.0, "step": "look", "state": "met", "passes": 1, "objectives": []},
                {"load": 12.5, "step": "decide", "state": "met", "passes": 4, "objectives": []},
                {"load": 13.0, "step": "decide", "state": "missed", "passes": 4, "objectives": [], "because": "ttft_p50 < 1 s"},
                {"load": 13.0, "step": "verify", "state": "missed", "passes": 5, "objectives": []}
            ]
        });
        edit(&mut boundary);
        boundary_lines(&serde_json::from_value(boundary).unwrap(), Style::default()).join("\n")
    }

    #[test]
    fn rates_keep_their_zeros() {
        let number = |load| load_number(load, Searched::Rate);
        assert_eq!(
            [12.5, 12.0, 100.0, 12_000.0, 10_000.0, 123_500.0].map(number),
            ["12.5", "12", "100", "12000", "10000", "123500"]
        );
    }

    #[test]
    fn a_boundary_is_a_bracket() {
        let expected = "holds at 12.5 requests/s, but not at 13\n  beyond, ttft_p50 < 1 s is missed\n  3 loads tried, 14 passes, \
                        to a precision of 5 %\n  to gate regressions near it: --request-rate 11.2";
        assert_eq!(lines(|_| ()), expected);
        for (edit, part) in [
            (
                (|b| b["lowest_missed"] = Value::Null) as fn(&mut Value),
                "holds at 12.5 requests/s, the highest load tried",
            ),
            (|b| b["highest_met"] = Value::Null, "does not hold at 13 requests/s, nor at any lower load tried"),
            (|b| b["broken"] = json!(["requests pile up"]), "but not at 13\n  beyond, requests pile up\n"),
            (|b| b["undecided"] = json!([13.5, 14.0]), "but not at 13\n"),
            (
                |b| (b["undecided"], b["lowest_missed"]) = (json!([13.5, 14.0]), 15.0.into()),
                "  undecided in between: 13.5, 14\n",
            ),
            (|b| b["lowest_missed"] = 15.0.into(), "before it reached the requested precision"),
            (|b| b["not_monotonic"] = json!([4.0]), "NOT MONOTONIC: 4 did not hold, although a higher load did"),
            (|b| b["verified"] = false.into(), "gave a different result when measured again"),
            (
                |b| {
                    (b["searched"], b["highest_met"], b["lowest_missed"]) =
                        ("concurrency".into(), 16.0.into(), 17.0.into())
                },
                "holds at 16 clients, but not at 17\n",
            ),
            (
                |b| {
                    b["comparison"] = json!({
                        "baseline": "main", "baseline_commit": null, "highest_met": 20.0, "lowest_missed": null, "verdict": "moved_down",
                        "why_not": []
                    });
                    b["comparison"]["verdict"] = "down".into();
                },
                "  moved down, from [20 -] of main",
            ),
        ] {
            assert!(lines(edit).contains(part), "{part}: {}", lines(edit));
        }
    }
}
