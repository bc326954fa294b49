//! The metrics that have estimates, comparisons and verdicts, by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::metrics::{Distribution, PassMetrics};

/// Which direction of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Throughputs.
    Higher,
    /// Latencies.
    Lower,
}

/// One number of a pass. As text it is `rpm`, `output_tokens_per_s`, `total_tokens_per_s`, or a latency and a point of it:
/// `ttft_p50`, `tpot_mean`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Completed requests per minute.
    Rpm,
    /// Output tokens per second.
    OutputTokensPerS,
    /// Prompt and output tokens per second.
    TotalTokensPerS,
    /// A point of the distribution of a latency within the pass.
    Latency(Latency, Point),
}

/// The latencies; docs/design.md defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Latency {
    /// Time to first token.
    Ttft,
    /// Time to the first token that is not reasoning.
    Ttfo,
    /// Time per output token after the first.
    Tpot,
    /// Gap between token events.
    Itl,
    /// End-to-end latency.
    E2e,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Arithmetic mean.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

impl Latency {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Ttft, Self::Ttfo, Self::Tpot, Self::Itl, Self::E2e];

    /// As in metric names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Ttfo => "ttfo",
            Self::Tpot => "tpot",
            Self::Itl => "itl",
            Self::E2e => "e2e",
        }
    }

    fn of(self, pass: &PassMetrics) -> Option<Distribution> {
        match self {
            Self::Ttft => pass.ttft_s,
            Self::Ttfo => pass.ttfo_s,
            Self::Tpot => pass.tpot_s,
            Self::Itl => pass.itl_s,
            Self::E2e => pass.e2e_s,
        }
    }
}

impl Point {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Mean, Self::P50, Self::P90, Self::P95, Self::P99];

    /// As in metric names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The share of values below it; `None` for the mean.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::Mean => None,
            Self::P50 => Some(0.50),
            Self::P90 => Some(0.90),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
        }
    }

    fn of(self, distribution: &Distribution) -> f64 {
        match self {
            Self::Mean => distribution.mean,
            Self::P50 => distribution.p50,
            Self::P90 => distribution.p90,
            Self::P95 => distribution.p95,
            Self::P99 => distribution.p99,
        }
    }
}

impl Metric {
    /// All of them, in the order of reports.
    pub fn all() -> impl Iterator<Item = Self> {
        let latencies = Latency::ALL.into_iter().flat_map(|l| Point::ALL.map(|point| Self::Latency(l, point)));
        [Self::Rpm, Self::OutputTokensPerS, Self::TotalTokensPerS].into_iter().chain(latencies)
    }

    /// Its value in a pass; `None` where it was not measured.
    pub fn of(self, pass: &PassMetrics) -> Option<f64> {
        match self {
            Self::Rpm => Some(pass.rpm),
            Self::OutputTokensPerS => Some(pass.output_tokens_per_s),
            Self::TotalTokensPerS => Some(pass.total_tokens_per_s),
            Self::Latency(latency, point) => latency.of(pass).map(|distribution| point.of(&distribution)),
        }
    }

    /// Which direction is the good one.
    pub fn better(self) -> Better {
        match self {
            Self::Latency(..) => Better::Lower,
            _ => Better::Higher,
        }
    }

    /// `s`, `1/s` or `1/min`.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rpm => "1/min",
            Self::OutputTokensPerS | Self::TotalTokensPerS => "1/s",
            Self::Latency(..) => "s",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Rpm => f.pad("rpm"),
            Self::OutputTokensPerS => f.pad("output_tokens_per_s"),
            Self::TotalTokensPerS => f.pad("total_tokens_per_s"),
            Self::Latency(latency, point) => f.pad(&format!("{}_{}", latency.name(), point.name())),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|metric| metric.to_string() == text).ok_or_else(|| {
            "no metric has that name: there are rpm, output_tokens_per_s, total_tokens_per_s, and mean, p50, p90, p95 and \
             p99 of ttft, ttfo, tpot, itl and e2e, as in ttft_p50"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        assert_eq!(Metric::all().count(), 28);
        for metric in Metric::all() {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        assert!("ttft_p51".parse::<Metric>().is_err());
    }
}
