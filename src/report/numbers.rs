//! Numbers as people read them.

use std::fmt;

use crate::{
    metrics::Metric,
    run::Report,
    stats::{Estimate, LevelChange},
};

/// An estimate with its interval, as criterion shows it, and a unit behind it; of `s`, `1/s`, `1/min`, or `1` for a share.
pub(super) fn estimated(estimate: Option<&Estimate>, unit: &str) -> String {
    let Some(estimate) = estimate else { return "-".to_owned() };
    let amount = |value: f64| amount(value, &estimate.unit);
    match (estimate.lower, estimate.upper) {
        (Some(lower), Some(upper)) if !is_meaningless(estimate) => {
            format!("[{} {} {}]{unit}", amount(lower), amount(estimate.point), amount(upper))
        }
        _ => format!("{}{unit}", amount(estimate.point)),
    }
}

/// A metric's estimate alone, as a table has it; a dash where there is none.
pub(super) fn cell(report: &Report, name: &str) -> String {
    let (Some(estimate), Ok(metric)) = (report.estimate(name), name.parse::<Metric>()) else { return "-".to_owned() };
    amount(estimate.point, metric.unit())
}

/// A number of that unit, with the unit where it is not the same for all.
pub(super) fn amount(value: f64, unit: &str) -> String {
    match unit {
        "s" => Time(value).to_string(),
        "1" => share(value),
        _ => significant(value),
    }
}

/// Whether an interval over passes is so wide that it says nothing: two passes that differ at all have such.
pub(super) fn is_meaningless(estimate: &Estimate) -> bool {
    estimate.lower.zip(estimate.upper).is_some_and(|(lower, upper)| upper > MOST_FACTOR * lower)
}

/// From one end of an interval to the other.
const MOST_FACTOR: f64 = 4.0;

/// A change with its interval, as criterion shows it.
pub fn change_of(change: f64, ends: Option<(f64, f64)>) -> String {
    match ends {
        Some((lower, upper)) => format!("[{} {} {}]", percent(lower), percent(change), percent(upper)),
        None => percent(change),
    }
}

/// `< 0.0001`, or `= 0.0005`.
pub(super) fn p_value(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("= {p:.4}") }
}

/// A change of level as a signed percentage.
pub(super) fn change_of_level(change: &LevelChange) -> String {
    if change.before == 0.0 { "from 0".to_owned() } else { percent(change.change()) }
}

/// Seconds in a readable unit, five characters of number as in criterion.
pub(super) struct Time(pub f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (scaled, unit) = match self.0 {
            s if s < 1e-6 => (s * 1e9, "ns"),
            s if s < 1e-3 => (s * 1e6, "µs"),
            s if s < 1.0 => (s * 1e3, "ms"),
            s => (s, "s"),
        };
        f.pad(&format!("{} {unit}", significant(scaled)))
    }
}

/// A number with about five significant digits.
pub(super) fn significant(value: f64) -> String {
    match value.abs() {
        v if v < 10.0 => format!("{value:.4}"),
        v if v < 100.0 => format!("{value:.3}"),
        v if v < 1000.0 => format!("{value:.2}"),
        v if v < 10_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A whole number with commas.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Half of the confidence interval; 0 where there is none.
pub(super) fn half_width(estimate: &Estimate) -> f64 {
    estimate.lower.zip(estimate.upper).map_or(0.0, |(lower, upper)| (upper - lower) / 2.0)
}

/// `1 pass`, `2 passes`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The change as a signed percentage.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        p if p < 9.995 => format!("{percent:+.2}%"),
        p if p < 999.95 => format!("{percent:+.1}%"),
        _ => format!("{percent:+.0}%"),
    }
}

/// A share that has no direction.
pub fn share(share: f64) -> String {
    percent(share).trim_start_matches('+').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_say_nothing_are_not_shown() {
        let estimate = |unit: &str, lower: f64, upper: f64| Estimate {
            point: 100.0,
            lower: Some(lower),
            upper: Some(upper),
            confidence_level: 0.95,
            unit: unit.to_owned(),
            better: crate::metrics::Better::Higher,
            replication: crate::stats::Replication::Pass,
        };
        assert_eq!(estimated(Some(&estimate("1/s", 50.0, 200.0)), " x"), "[50.000 100.00 200.00] x");
        assert_eq!(estimated(Some(&estimate("1/s", 49.0, 200.0)), " x"), "100.00 x");
        assert_eq!(estimated(Some(&estimate("s", 1.0, 20000.0)), ""), "100.00 s");
    }

    #[test]
    fn numbers() {
        assert_eq!(Time(0.0123456).to_string(), "12.346 ms");
        assert_eq!(Time(0.000_002).to_string(), "2.0000 µs");
        assert_eq!(Time(59.9).to_string(), "59.900 s");
        assert_eq!(
            [9.87654, 98.7654, 987.654, 9876.54, 98765.4].map(significant),
            ["9.8765", "98.765", "987.65", "9876.5", "98765"]
        );
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
