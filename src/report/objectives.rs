//! Objectives on the console and in a job's summary.

use super::{
    block::{Style, paint},
    numbers::amount,
};
use crate::stats::{Judged, State};

/// The line of an objective, and what explains it.
pub(super) fn objective_lines(judged: &Judged, passes: usize, style: Style) -> Vec<String> {
    let color = match judged.state {
        State::Met => "\x1b[32m",
        State::Missed => "\x1b[31m",
        State::Undecided => "\x1b[33m",
    };
    let state = paint(&judged.state.to_string(), color, style);
    let mut lines = vec![format!("{}: {state}", judged.objective), format!("  {}", measured(judged))];
    lines.extend(explanation(judged, passes).map(|why| format!("  {why}")));
    lines
}

/// What was measured of it, with its interval.
pub(super) fn measured(judged: &Judged) -> String {
    let amount = |value: f64| amount(value, &judged.unit);
    match (judged.point, judged.lower.zip(judged.upper)) {
        (Some(point), Some((lower, upper))) => format!("[{} {} {}]", amount(lower), amount(point), amount(upper)),
        (Some(point), None) => amount(point),
        (None, _) => "-".to_owned(),
    }
}

/// What was measured of it, and why it is undecided, in one line.
pub fn measured_words(judged: &Judged, passes: usize) -> String {
    let why = explanation(judged, passes).map_or_else(String::new, |why| format!("; {why}"));
    measured(judged) + &why
}

/// Why it is undecided, and what would decide it.
pub(super) fn explanation(judged: &Judged, passes: usize) -> Option<String> {
    match (judged.state, &judged.why_not, judged.passes_needed) {
        (State::Met | State::Missed, ..) => None,
        (_, Some(why), _) => Some(why.clone()),
        (_, None, Some(needed)) if needed > passes + 1 => {
            Some(format!("some {} more passes would decide it", needed - passes))
        }
        (_, None, Some(_)) => Some("one more pass may decide it".to_owned()),
        (_, None, None) => Some("1,000 passes would not decide it: the mean is too close to the limit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objectives_say_what_was_measured_and_what_would_decide() {
        let lines = |state: &str, why_not: Option<&str>, needed: Option<usize>| {
            let judged: Judged = serde_json::from_value(json!({
                "objective": "ttft_p99 < 300 ms", "state": state, "point": 0.25, "lower": 0.2, "upper": 0.3, "limit": 0.3, "unit": "s",
                "why_not": why_not, "passes_needed": needed
            }))
            .unwrap();
            objective_lines(&judged, 5, Style::default())
        };
        let first = |state: &str| format!("ttft_p99 < 300 ms: {state}");
        let interval = "  [200.00 ms 250.00 ms 300.00 ms]".to_owned();
        assert_eq!(lines("met", None, None), [first("met"), interval.clone()]);
        for (why_not, needed, expected) in [
            (None, Some(12), "  some 7 more passes would decide it"),
            (None, Some(6), "  one more pass may decide it"),
            (None, Some(5), "  one more pass may decide it"),
            (None, None, "  1,000 passes would not decide it: the mean is too close to the limit"),
            (Some("it was not measured"), None, "  it was not measured"),
        ] {
            assert_eq!(
                lines("undecided", why_not, needed),
                [first("undecided"), interval.clone(), expected.to_owned()]
            );
        }
        let share: Judged = serde_json::from_value(json!({
            "objective": "failed < 1 %", "state": "undecided", "point": null, "lower": null, "upper": null, "limit": 0.01, "unit": "1"
        }))
        .unwrap();
        assert_eq!(measured(&share), "-");
        let share = Judged { point: Some(0.005), lower: Some(0.0), upper: Some(0.0213), ..share };
        assert_eq!(measured(&share), "[0.00% 0.50% 2.13%]");
    }
}
