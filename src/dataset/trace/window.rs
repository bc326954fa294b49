//! Which part of a trace is sent.

use std::{fmt, str::FromStr};

/// Seconds from the first request of a trace: `FROM..TO`, `FROM..` or `..TO`, the end not included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceWindow {
    from_s: f64,
    to_s: f64,
}

impl TraceWindow {
    /// Whether a time, in nanoseconds from the first request, lies in it.
    pub(super) fn holds(self, at_ns: i64) -> bool {
        let at_s = at_ns as f64 * 1e-9;
        self.from_s <= at_s && at_s < self.to_s
    }
}

impl FromStr for TraceWindow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let second = |text: &str, open: f64| match text.trim() {
            "" => Some(open),
            number => number.parse().ok().filter(|second: &f64| *second >= 0.0 && second.is_finite()),
        };
        let ends = text.split_once("..").and_then(|(from, to)| Some((second(from, 0.0)?, second(to, f64::INFINITY)?)));
        match ends {
            Some((from_s, to_s)) if from_s < to_s => Ok(Self { from_s, to_s }),
            Some(_) => Err(format!("`{text}` ends before it begins")),
            None => {
                Err(format!("`{text}` is not FROM..TO, in seconds from the first request, such as 0..600 or 3600.."))
            }
        }
    }
}

impl fmt::Display for TraceWindow {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.to_s.is_finite() {
            true => write!(f, "{}..{}", self.from_s, self.to_s),
            false => write!(f, "{}..", self.from_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let window = |text: &str| text.parse::<TraceWindow>();
        for (text, printed, within, without) in
            [("0..600", "0..600", 599, 600), ("3600..", "3600..", 3600, 3599), ("..0.5", "0..0.5", 0, 1)]
        {
            let window = window(text).unwrap();
            assert_eq!(window.to_string(), printed);
            assert!(window.holds(within * 1_000_000_000) && !window.holds(without * 1_000_000_000), "{text}");
        }
        for (text, why) in [
            ("600", "`600` is not FROM..TO, "),
            ("a..b", "`a..b` is not FROM..TO, "),
            ("-1..2", "`-1..2` is not FROM..TO, "),
            ("5..5", "`5..5` ends before it begins"),
        ] {
            assert!(window(text).unwrap_err().starts_with(why), "{text}");
        }
    }
}
