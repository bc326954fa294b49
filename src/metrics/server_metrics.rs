use serde::{Deserialize, Serialize};

/// What the server counted itself during a pass, by its page of metrics: `passes[].server_metrics` of report.json. What it does not tell is
/// `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerMetrics {
    /// Whose names the page has: `vllm`, `sglang`, `llama.cpp`, …
    pub server: String,
    /// Readings during the pass, about one a second.
    pub readings: usize,
    /// Requests that ran.
    pub running: Option<Gauge>,
    /// Requests that waited.
    pub waiting: Option<Gauge>,
    /// How full its key-value cache was, as a share.
    pub kv_use: Option<Gauge>,
    /// Tokens of prompts.
    pub prompt_tokens: Option<u64>,
    /// Those of them that came from its cache.
    pub cached_tokens: Option<u64>,
    /// Tokens that it generated.
    pub generated_tokens: Option<u64>,
    /// Requests that lost their place to others, and were begun again.
    pub preemptions: Option<u64>,
    /// Time to first token as the server has it, on average: what lies between it and the client's is network, front end and queue before it.
    pub ttft_mean_s: Option<f64>,
    /// Its counters fell: it was started anew in the middle of the pass.
    pub restarted: bool,
    /// Tokens that it generated beyond what was asked for here: somebody else used it.
    pub tokens_of_others: Option<u64>,
}

impl ServerMetrics {
    /// Prompt tokens from its cache, where nobody else can have had some of them.
    pub fn cached_tokens_of_this_client(&self) -> Option<u64> {
        self.cached_tokens.filter(|_| self.tokens_of_others.is_none() && !self.restarted)
    }
}

/// What a server's gauges stood at, at one moment of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GaugeReading {
    /// In nanoseconds of the clock of records.
    pub at_ns: u64,
    /// Requests that ran.
    pub running: Option<f64>,
    /// Requests that waited.
    pub waiting: Option<f64>,
    /// How full its key-value cache was, as a share.
    pub kv_use: Option<f64>,
}

/// What goes up and down, over the readings of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    /// Arithmetic mean.
    pub mean: f64,
    /// Greatest.
    pub max: f64,
}

impl Gauge {
    /// Of the readings that have it; `None` where none has.
    #[cfg(feature = "harness")]
    pub(crate) fn over<T>(readings: &[T], of: impl Fn(&T) -> Option<f64>) -> Option<Self> {
        let values: Vec<f64> = readings.iter().filter_map(of).filter(|value| value.is_finite()).collect();
        let max = values.iter().copied().reduce(f64::max)?;
        Some(Self { mean: values.iter().sum::<f64>() / values.len() as f64, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_this_clients_where_nobody_else_can_have_had_them() {
        let of = |cached_tokens, tokens_of_others, restarted| {
            let metrics = ServerMetrics { cached_tokens, tokens_of_others, restarted, ..ServerMetrics::default() };
            metrics.cached_tokens_of_this_client()
        };
        assert_eq!(of(Some(7), None, false), Some(7));
        assert_eq!([of(None, None, false), of(Some(7), Some(3), false), of(Some(7), None, true)], [None; 3]);
    }
}
