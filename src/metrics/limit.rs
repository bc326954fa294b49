//! Limits as people write them: `300 ms`, `1 %`, `2000`.

use std::{cmp::Ordering, fmt};

/// A number with its unit, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    number: f64,
    unit: Unit,
}

/// What a number is written in, and what one of it is in the unit of what it limits.
#[derive(Clone, Copy, Debug)]
struct Unit {
    /// How it is shown, with what stands between the number and it.
    shown: &'static str,
    /// Other spellings.
    also: &'static [&'static str],
    of: f64,
}

const fn unit(shown: &'static str, also: &'static [&'static str], of: f64) -> Unit {
    Unit { shown, also, of }
}

/// Of a time, which is measured in seconds. A number alone could be either of two.
const TIMES: &[Unit] = &[
    unit(" ms", &[], 1e-3),
    unit(" s", &[], 1.0),
    unit(" µs", &["us", "μs"], 1e-6),
    unit(" ns", &[], 1e-9),
    unit(" min", &[], 60.0),
];
/// Of a share of 1.
const SHARES: &[Unit] = &[unit(" %", &[], 1e-2)];
/// Of what has its unit in its name.
const PER_SECOND: &[Unit] = &[unit("", &["/s", "1/s", "tokens/s", "requests/s"], 1.0)];
const PER_MINUTE: &[Unit] = &[unit("", &["/min", "1/min", "requests/min"], 1.0)];

impl Limit {
    /// A number and its unit, for what is measured in `s`, `1/s`, `1/min`, or `1` for a share.
    ///
    /// # Errors
    /// Where it is no number above 0, or has not the unit that it needs.
    pub(super) fn parse(text: &str, measured_in: &str) -> Result<Self, String> {
        let (units, example) = match measured_in {
            "s" => (TIMES, "300 ms or 2 s"),
            "1" => (SHARES, "1 %"),
            "1/min" => (PER_MINUTE, "600"),
            _ => (PER_SECOND, "20"),
        };
        let text = text.trim();
        let ends = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '_' | '+' | '-')).unwrap_or(text.len());
        let (number, written) = text.split_at(ends);
        let number: Option<f64> = number.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.filter(|number| *number > 0.0);
        let number = number.ok_or_else(|| format!("`{text}` is no number above 0: write it as in {example}"))?;
        let written = written.trim();
        let means = |unit: &&Unit| unit.shown.trim() == written || unit.also.contains(&written);
        match units.iter().find(means) {
            Some(unit) => Ok(Self { number, unit: *unit }),
            None if written.is_empty() => Err(format!("`{text}` has no unit: write it as in {example}")),
            None => Err(format!("`{written}` is no unit of it: write it as in {example}")),
        }
    }

    /// In the unit of what it limits: seconds, per second, per minute, or a share of 1.
    pub fn value(self) -> f64 {
        self.number * self.unit.of
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit.shown)
    }
}

/// By what they mean.
impl PartialEq for Limit {
    fn eq(&self, other: &Self) -> bool {
        self.value().total_cmp(&other.value()) == Ordering::Equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_equal_by_what_they_mean() {
        let of = |text| Limit::parse(text, "s").unwrap();
        assert!(of("300 ms") == of("0.3 s") && of("300 ms") != of("301 ms"));
    }

    #[test]
    fn limits_are_numbers_with_units() {
        for (text, measured_in, value, shown) in [
            ("300 ms", "s", 0.3, "300 ms"),
            ("300ms", "s", 0.3, "300 ms"),
            (" 2 s ", "s", 2.0, "2 s"),
            ("1.5 min", "s", 90.0, "1.5 min"),
            ("250 us", "s", 250e-6, "250 µs"),
            ("1 %", "1", 0.01, "1 %"),
            ("99.5%", "1", 0.995, "99.5 %"),
            ("2_000", "1/s", 2000.0, "2000"),
            ("20/s", "1/s", 20.0, "20"),
            ("600 requests/min", "1/min", 600.0, "600"),
        ] {
            let limit = Limit::parse(text, measured_in).unwrap();
            assert!((limit.value() / value - 1.0).abs() < 1e-12, "{text}: {}", limit.value());
            assert_eq!(limit.to_string(), shown);
        }
        for (text, measured_in, expected) in [
            ("300", "s", "`300` has no unit: write it as in 300 ms or 2 s"),
            ("0.01", "1", "`0.01` has no unit: write it as in 1 %"),
            ("300 m", "s", "`m` is no unit of it: write it as in 300 ms or 2 s"),
            ("5 ms", "1/s", "`ms` is no unit of it: write it as in 20"),
            ("0 ms", "s", "`0 ms` is no number above 0: write it as in 300 ms or 2 s"),
            ("-1 %", "1", "`-1 %` is no number above 0: write it as in 1 %"),
            ("", "1/min", "`` is no number above 0: write it as in 600"),
        ] {
            assert_eq!(Limit::parse(text, measured_in).unwrap_err(), expected, "{text}");
        }
        assert_eq!(Limit::parse("0.3 s", "s"), Limit::parse("300 ms", "s"));
    }
}
