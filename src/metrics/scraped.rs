//! What somebody wants to know of a page of metrics, by its name there.

use std::{fmt, str::FromStr};

use super::Better;

/// A metric of the server's page, or of its GPUs', that becomes a row of its own: `NAME` for a gauge, `rate:NAME` for a counter, either
/// with `higher:` before it where more is better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Its name on the page.
    pub name: String,
    /// Of a counter: by how much it goes up in a second.
    pub is_rate: bool,
    /// Which direction is the good one.
    pub better: Better,
}

impl Scrape {
    /// Its unit.
    pub fn unit(&self) -> &'static str {
        if self.is_rate { "1/s" } else { "" }
    }
}

impl FromStr for Scrape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (better, rest) = match (text.strip_prefix("higher:"), text.strip_prefix("lower:")) {
            (Some(rest), _) => (Better::Higher, rest),
            (_, rest) => (Better::Lower, rest.unwrap_or(text)),
        };
        let (is_rate, name) = match rest.strip_prefix("rate:") {
            Some(name) => (true, name),
            None => (false, rest),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!(
                "`{text}` names no metric: write NAME, or rate:NAME for a counter, as its page has it"
            ));
        }
        Ok(Self { name: name.to_owned(), is_rate, better })
    }
}

impl fmt::Display for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let better = if self.better == Better::Higher { "higher:" } else { "" };
        let rate = if self.is_rate { "rate:" } else { "" };
        write!(f, "{better}{rate}{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_are_written() {
        for (text, name, is_rate, better) in [
            ("vllm:kv_cache_usage_perc", "vllm:kv_cache_usage_perc", false, Better::Lower),
            ("rate:a_total", "a_total", true, Better::Lower),
            ("higher:rate:a_total", "a_total", true, Better::Higher),
        ] {
            let scrape: Scrape = text.parse().unwrap();
            assert_eq!((scrape.name.as_str(), scrape.is_rate, scrape.better), (name, is_rate, better));
            assert_eq!(scrape.to_string(), text);
            assert_eq!(scrape.unit(), if is_rate { "1/s" } else { "" });
        }
        assert_eq!("lower:a".parse::<Scrape>().unwrap().to_string(), "a");
        for bad in ["", "rate:", "a b", "higher:", "a{b=\"c\"}"] {
            assert!(bad.parse::<Scrape>().unwrap_err().contains("names no metric"), "{bad}");
        }
    }
}
