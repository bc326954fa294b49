use std::{str::FromStr, time::Duration};

use clap::Parser;

/// How the simulated engine behaves. The defaults are those of the embedded benchmark.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct EngineConfig {
    /// Requests that run at once; the rest wait in order of arrival
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub instance_num: u32,
    /// Milliseconds of a decode step, whatever the batch
    #[arg(long, value_name = "MS", default_value_t = 1.0, value_parser = non_negative)]
    pub decode_step_ms: f64,
    /// Microseconds that each running request adds to a step
    #[arg(long, value_name = "US", default_value_t = 20.0, value_parser = non_negative)]
    pub decode_per_request_us: f64,
    /// Prompt tokens that are prefilled in a second; the step that admits a request takes so much longer
    #[arg(long, value_name = "N", default_value_t = 60_000.0, value_parser = positive)]
    pub prefill_tokens_per_s: f64,
    /// Tokens of prompts and answers that fit into the key-value cache together
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(1..))]
    pub kv_tokens: u64,
    /// Random part of each step's time, as a share of it (standard deviation)
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = non_negative)]
    pub jitter: f64,
    /// Whether beginnings of prompts that were prefilled before are taken from a cache, which has what running requests leave of kv_tokens
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    pub prefix_cache: bool,
    /// Tokens of a block of that cache: whole blocks are taken from it
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub block_tokens: u32,
    /// Whether usage says how many prompt tokens came from that cache
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    pub report_cached: bool,
    /// Share of the streamed requests that each kind of fault befalls; there are ten kinds
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = tenth)]
    pub fault_share: f64,
    /// Seed of the jitter, of the words and of the faults
    #[arg(long = "engine-seed", value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Name of the model that it serves
    #[arg(long = "model-name", value_name = "NAME", default_value = "tachometer-engine")]
    pub model: String,
}

fn non_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("expected a number that is not negative".to_owned()),
    }
}

/// Ten kinds of that share are at most all requests.
fn tenth(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=0.1).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to 0.1".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("expected a number above 0".to_owned()),
    }
}

#[derive(clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct FromPairs {
    #[command(flatten)]
    config: EngineConfig,
}

impl Default for EngineConfig {
    fn default() -> Self {
        FromPairs::parse_from([""; 0]).config
    }
}

impl FromStr for EngineConfig {
    type Err = String;

    /// Reads `key=value,key=value`, with the names of the example's flags: `decode_step_ms=2.1,instance_num=8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut flags = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not key=value"))?;
            flags.push(format!("--{}={}", key.trim().replace('_', "-"), value.trim()));
        }
        FromPairs::try_parse_from(flags).map(|parsed| parsed.config).map_err(|e| {
            let message = e.to_string();
            let lines = message.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("Usage"));
            lines.take(2).collect::<Vec<_>>().join("; ").trim_start_matches("error: ").to_owned()
        })
    }
}

impl EngineConfig {
    /// Time of a step in which `batch` requests run and `prefill` prompt tokens are taken in, before jitter.
    pub(super) fn step(&self, batch: usize, prefill: u64) -> Duration {
        let seconds = self.decode_step_ms * 1e-3
            + self.decode_per_request_us * 1e-6 * batch as f64
            + prefill as f64 / self.prefill_tokens_per_s;
        Duration::from_secs_f64(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let config: EngineConfig = "instance_num=3, decode-step-ms=1.5".parse().unwrap();
        assert_eq!(config, EngineConfig { instance_num: 3, decode_step_ms: 1.5, ..EngineConfig::default() });
        assert_eq!("".parse::<EngineConfig>(), Ok(EngineConfig::default()));
        for (bad, expected) in [
            ("instance_num", "not key=value"),
            ("instance_num=0", "0 is not in 1.."),
            ("instance_nm=1", "--instance-num"),
            ("jitter=-1", "not negative"),
            ("fault_share=0.2", "from 0 to 0.1"),
        ] {
            let message = bad.parse::<EngineConfig>().unwrap_err();
            assert!(message.contains(expected), "{bad}: {message}");
        }
    }
}
