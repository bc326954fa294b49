//! The latency limits of MLPerf Inference's Server and Interactive scenarios, as objectives.

/// A model and a scenario.
pub(super) struct Mlperf {
    pub name: &'static str,
    pub objectives: [&'static str; 2],
}

const fn limits(name: &'static str, ttft: &'static str, tpot: &'static str) -> Mlperf {
    Mlperf { name, objectives: [ttft, tpot] }
}

/// The 99th percentiles of time to first token and of time per output token: MLCommons, `inference_policies/inference_rules.adoc`, the
/// table of the Server scenario, and `loadgen/mlperf.conf` (`ttft_latency`, `tpot_latency`), as of November 2026. The rules also ask for
/// Poisson arrivals and 600 s at least, which are the load's to say.
pub(super) const MLPERF: &[Mlperf] = &[
    limits("mlperf-llama2-70b-server", "ttft_p99 < 2000 ms", "tpot_p99 < 200 ms"),
    limits("mlperf-llama2-70b-interactive", "ttft_p99 < 450 ms", "tpot_p99 < 40 ms"),
    limits("mlperf-llama3.1-405b-server", "ttft_p99 < 6000 ms", "tpot_p99 < 175 ms"),
    limits("mlperf-llama3.1-405b-interactive", "ttft_p99 < 4500 ms", "tpot_p99 < 80 ms"),
    limits("mlperf-llama3.1-8b-server", "ttft_p99 < 2000 ms", "tpot_p99 < 100 ms"),
    limits("mlperf-llama3.1-8b-interactive", "ttft_p99 < 500 ms", "tpot_p99 < 30 ms"),
    limits("mlperf-deepseek-r1-server", "ttft_p99 < 2000 ms", "tpot_p99 < 80 ms"),
    limits("mlperf-deepseek-r1-interactive", "ttft_p99 < 1500 ms", "tpot_p99 < 15 ms"),
    limits("mlperf-gpt-oss-120b-server", "ttft_p99 < 3000 ms", "tpot_p99 < 80 ms"),
    limits("mlperf-gpt-oss-120b-interactive", "ttft_p99 < 2000 ms", "tpot_p99 < 20 ms"),
];
