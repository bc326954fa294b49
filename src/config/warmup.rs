use std::{fmt, str::FromStr, time::Duration};

/// What is sent before the first pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmup {
    /// So many requests.
    Requests(usize),
    /// Requests for that long.
    Time(Duration),
}

impl From<usize> for Warmup {
    fn from(requests: usize) -> Self {
        Self::Requests(requests)
    }
}

impl From<Duration> for Warmup {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl fmt::Display for Warmup {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Requests(1) => f.write_str("1 request"),
            Self::Requests(requests) => write!(f, "{requests} requests"),
            Self::Time(time) => write!(f, "requests for {}", humantime::format_duration(*time)),
        }
    }
}

impl FromStr for Warmup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(requests) = text.parse() {
            return Ok(Self::Requests(requests));
        }
        let time = humantime::parse_duration(text).ok();
        time.map(Self::Time).ok_or_else(|| format!("`{text}` is neither a number of requests nor a time such as 10s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_ups_are_numbers_or_times() {
        let read = |text: &str| text.parse::<Warmup>().map(|warmup| warmup.to_string());
        for (text, words) in
            [("0", "0 requests"), ("1", "1 request"), (" 16 ", "16 requests"), ("90s", "requests for 1m 30s")]
        {
            assert_eq!(read(text), Ok(words.to_owned()));
        }
        for bad in ["", "-1", "s", "1.5", "10 apples"] {
            let why = format!("`{bad}` is neither a number of requests nor a time such as 10s");
            assert_eq!(read(bad), Err(why));
        }
    }
}
