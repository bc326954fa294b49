//! Every setting, once: the same name as flag, environment variable and key of the file.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{
    client::Api,
    dataset::Policy,
    engine::EngineConfig,
    load::{Arrival, FailureBudget, RequestRate},
    metrics::Metric,
    report::CsvFormat,
};

/// A JSON object given as text on the command line, or as a table or text in the file.
pub type JsonObject = Map<String, Value>;

/// What is printed on stdout, and which files are written beside the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Blocks and verdicts for people, in criterion's language.
    #[default]
    Criterion,
    /// libtest's benchmark lines, which criterion calls so too.
    Bencher,
    /// The reports, a JSON line each.
    Json,
    /// Bencher Metric Format.
    Bmf,
    /// As `criterion`, and two files for github-action-benchmark.
    Github,
}

/// What makes a run that ended well exit with 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FailOn {
    /// Nothing.
    Never,
    /// A gated metric that regressed or that could not be compared, or more failed requests.
    Regression,
    /// A run that asked another question than its baseline.
    NotComparable,
    /// A gated metric of which nothing could be said.
    Inconclusive,
}

macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)*) => {
        /// The settings of one layer (flags and environment, a workload of the file, the file): what is `None` is left to
        /// the layer below.
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(default)]
        pub struct Settings {
            $($(#[$attribute])* pub $name: Option<$type>,)*
        }

        impl Settings {
            /// The names of all settings, as keys of the file.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// This layer over another one. A load that it names stands in place of those of the other, of either kind.
            #[must_use]
            pub fn over(self, below: &Self) -> Self {
                let names_load = self.concurrency.is_some() || self.request_rate.is_some();
                let loads = if names_load { (None, None) } else { (below.concurrency.clone(), below.request_rate.clone()) };
                let below = &Self { concurrency: loads.0, request_rate: loads.1, ..below.clone() };
                Self { $($name: self.$name.or_else(|| below.$name.clone()),)* }
            }
        }
    };
}

settings! {
    /// Server to measure, e.g. http://127.0.0.1:23333; without a scheme http is meant. Without a server the embedded engine is measured
    #[arg(long, env = "TACHOMETER_SERVER", value_name = "URL", help_heading = "Server")]
    server: String,
    /// Model to ask for [default: the first that /v1/models lists]
    #[arg(long, env = "TACHOMETER_MODEL", value_name = "NAME", help_heading = "Server")]
    model: String,
    /// Protocol: chat, completions, or lmdeploy for LMDeploy's servers of 2023 [default: chat]
    #[arg(long, env = "TACHOMETER_API", value_name = "API", help_heading = "Server")]
    api: Api,
    /// Environment variable that holds the API key, sent as a bearer token
    #[arg(long, env = "TACHOMETER_API_KEY_ENV", value_name = "NAME", help_heading = "Server")]
    api_key_env: String,
    /// File that holds the API key, sent as a bearer token
    #[arg(long, env = "TACHOMETER_API_KEY_FILE", value_name = "PATH", help_heading = "Server")]
    api_key_file: PathBuf,
    /// Header to send with every request, `name: value`; may be repeated. Values appear in no file and no message
    #[arg(long, env = "TACHOMETER_HEADER", value_name = "HEADER", help_heading = "Server", hide_env_values = true)]
    #[serde(deserialize_with = "one_or_many")]
    header: Vec<String>,
    /// PEM file of the certificates that are believed, in place of the platform's
    #[arg(long, env = "TACHOMETER_CA_FILE", value_name = "PATH", help_heading = "Server")]
    ca_file: PathBuf,
    /// Whether https servers go unverified; warns each time [default: false]
    #[arg(long, env = "TACHOMETER_INSECURE", value_name = "BOOL", help_heading = "Server", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    insecure: bool,
    /// Limit for one request, in seconds from its send to its end [default: 600]
    #[arg(long, env = "TACHOMETER_TIMEOUT", value_name = "SECONDS", help_heading = "Server")]
    timeout: f64,
    /// Limit for opening a connection, in seconds [default: 10]
    #[arg(long, env = "TACHOMETER_CONNECT_TIMEOUT", value_name = "SECONDS", help_heading = "Server")]
    connect_timeout: f64,
    /// Limit for the first token of a stream, in seconds from the send [default: 300]
    #[arg(long, env = "TACHOMETER_FIRST_TOKEN_TIMEOUT", value_name = "SECONDS", help_heading = "Server")]
    first_token_timeout: f64,
    /// Limit for the next event of a stream once its first token has come, in seconds [default: 60]
    #[arg(long, env = "TACHOMETER_STALL_TIMEOUT", value_name = "SECONDS", help_heading = "Server")]
    stall_timeout: f64,
    /// Wait so many seconds for a server that is not there or not ready, before each benchmark [default: 0]
    #[arg(long, env = "TACHOMETER_WAIT_READY", value_name = "SECONDS", help_heading = "Server")]
    wait_ready: f64,
    /// The embedded engine's behaviour, as key=value,…: instance_num, decode_step_ms, decode_per_request_us, prefill_tokens_per_s, kv_tokens, jitter, fault_share
    #[arg(long, env = "TACHOMETER_ENGINE", value_name = "KEY=VALUE,…", help_heading = "Server")]
    #[serde(deserialize_with = "from_text")]
    engine: EngineConfig,

    /// ShareGPT JSON file, or random:PROMPT_TOKENS:OUTPUT_TOKENS for synthetic prompts of exact length
    #[arg(long, env = "TACHOMETER_DATASET", value_name = "PATH", help_heading = "Workload")]
    dataset: String,
    /// tokenizer.json, tokenizer.model, or a folder that holds one
    #[arg(long, env = "TACHOMETER_TOKENIZER", value_name = "PATH", help_heading = "Workload")]
    tokenizer: PathBuf,
    /// How prompts are drawn: filter-then-sample (LMDeploy 2023) or shuffle-then-filter (SGLang, vLLM) [default: filter-then-sample]
    #[arg(long, env = "TACHOMETER_SAMPLER", value_name = "POLICY", help_heading = "Workload")]
    sampler: Policy,
    /// Seed of the first pass; pass i draws its prompts with seed + i [default: 0]
    #[arg(long, env = "TACHOMETER_SEED", value_name = "N", help_heading = "Workload")]
    seed: u64,
    /// Prompts of a pass [default: 2000; embedded engine: 64]
    #[arg(long, env = "TACHOMETER_NUM_PROMPTS", value_name = "N", help_heading = "Workload")]
    num_prompts: usize,
    /// Whether tokens are streamed; only then are token latencies measured [default: false; embedded engine: true]
    #[arg(long, env = "TACHOMETER_STREAM", value_name = "BOOL", help_heading = "Workload")]
    stream: bool,
    /// Whether the server is asked to go on to the full length [default: true]
    #[arg(long, env = "TACHOMETER_IGNORE_EOS", value_name = "BOOL", help_heading = "Workload")]
    ignore_eos: bool,
    /// Nucleus sampling threshold [default: 1.0]
    #[arg(long, env = "TACHOMETER_TOP_P", value_name = "P", help_heading = "Workload", alias = "top_p")]
    top_p: f64,
    /// Sampling temperature [default: 1.0]
    #[arg(long, env = "TACHOMETER_TEMPERATURE", value_name = "T", help_heading = "Workload")]
    temperature: f64,
    /// Tokens to ask for with every prompt [default: the length of the dataset's own answer]
    #[arg(long, env = "TACHOMETER_MAX_TOKENS", value_name = "N", help_heading = "Workload")]
    max_tokens: u32,
    /// Field that asks for them: max_tokens or max_completion_tokens [default: max_tokens]
    #[arg(long, env = "TACHOMETER_MAX_TOKENS_FIELD", value_name = "NAME", help_heading = "Workload")]
    max_tokens_field: String,
    /// Whether stream_options.include_usage is sent with streams [default: true]
    #[arg(long, env = "TACHOMETER_INCLUDE_USAGE", value_name = "BOOL", help_heading = "Workload")]
    include_usage: bool,
    /// JSON object merged into every request; its fields win
    #[arg(long, env = "TACHOMETER_EXTRA_BODY", value_name = "JSON", help_heading = "Workload", value_parser = json_object)]
    #[serde(deserialize_with = "object_or_text")]
    extra_body: JsonObject,

    /// Draw prompts of their own for each load point and each half of a calibration, so that none of them finds another's prompts in the server's cache; a run and its baseline still send the same ones
    #[arg(long, env = "TACHOMETER_FRESH_PROMPTS", value_name = "BOOL", help_heading = "Workload", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    fresh_prompts: bool,
    /// Put words before each prompt that are others in every run, always 8 tokens, so that nothing comes from the server's prompt cache
    #[arg(long, env = "TACHOMETER_CACHE_BUST", value_name = "BOOL", help_heading = "Workload", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    cache_bust: bool,

    /// Clients that send at once; a list makes one benchmark each [default: 64; embedded engine: 8,64]
    #[arg(long, env = "TACHOMETER_CONCURRENCY", value_name = "N,…", help_heading = "Load", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    concurrency: Vec<usize>,
    /// Open loop: requests sent per second, whatever has become of the others, or inf for all at once; a list makes one benchmark each
    #[arg(long, env = "TACHOMETER_REQUEST_RATE", value_name = "RATE,…", help_heading = "Load", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    request_rate: Vec<RequestRate>,
    /// Gaps between the arrivals of an open loop: constant, poisson or gamma [default: poisson]
    #[arg(long, env = "TACHOMETER_ARRIVAL", value_name = "DISTRIBUTION", help_heading = "Load", hide_possible_values = true)]
    arrival: Arrival,
    /// Shape of --arrival gamma: 1 is poisson, less is burstier [default: 1]
    #[arg(long, env = "TACHOMETER_BURSTINESS", value_name = "SHAPE", help_heading = "Load")]
    burstiness: f64,
    /// Open loop: a request that would be one more than this in flight waits, and its wait is reported [default: no limit]
    #[arg(long, env = "TACHOMETER_MAX_IN_FLIGHT", value_name = "N", help_heading = "Load")]
    max_in_flight: usize,
    /// Most requests of a pass that may fail, a number or a share such as 5%; one more ends the benchmark [default: 10%]
    #[arg(long, env = "TACHOMETER_MAX_FAILURES", value_name = "N|SHARE", help_heading = "Load")]
    #[serde(deserialize_with = "number_or_text")]
    max_failures: FailureBudget,
    /// Times that a failed request is sent again where that may help; its latency counts from the first send, and the report says how many were [default: 0]
    #[arg(long, env = "TACHOMETER_RETRIES", value_name = "N", help_heading = "Load")]
    retries: u32,
    /// Requests sent before the first pass, on prompts that are not measured [default: 16, at most the concurrency]
    #[arg(long, env = "TACHOMETER_WARMUP", value_name = "N", help_heading = "Load")]
    warmup: usize,
    /// Passes of each benchmark, the unit of its statistics [default: 3; embedded engine: 5]
    #[arg(long, env = "TACHOMETER_SAMPLE_SIZE", value_name = "N", help_heading = "Load")]
    sample_size: usize,
    /// Threads that the clients run on [default: the cores, less one]
    #[arg(long, env = "TACHOMETER_CLIENT_THREADS", value_name = "N", help_heading = "Load")]
    client_threads: usize,

    /// Metrics that decide: rpm, output_tokens_per_s, total_tokens_per_s, or mean, p50, p90, p95, p99 of ttft, ttfo, tpot, itl, e2e, as in ttft_p50 [default: output_tokens_per_s,ttft_p50]
    #[arg(long, env = "TACHOMETER_GATE", value_name = "METRIC,…", help_heading = "Comparison", value_delimiter = ',')]
    #[serde(deserialize_with = "metrics")]
    gate: Vec<Metric>,
    /// What makes the run exit with 3: never, or a list of regression (a gated metric that regressed or could not be compared, or more failed requests), not-comparable and inconclusive [default: never]
    #[arg(long, env = "TACHOMETER_FAIL_ON", value_name = "WHAT,…", help_heading = "Comparison", value_delimiter = ',', hide_possible_values = true)]
    #[serde(deserialize_with = "one_or_many")]
    fail_on: Vec<FailOn>,
    /// Changes up to this share are noise: 0.01 is 1 % [default: 0.01]
    #[arg(long, env = "TACHOMETER_NOISE_THRESHOLD", value_name = "SHARE", help_heading = "Comparison")]
    noise_threshold: f64,
    /// Chance of a wrong `regressed` or `improved` among all gated metrics of a run [default: 0.05]
    #[arg(long, env = "TACHOMETER_SIGNIFICANCE_LEVEL", value_name = "LEVEL", help_heading = "Comparison")]
    significance_level: f64,
    /// File that gets a JSON line a run of a benchmark [default: history.jsonl in the target directory's tachometer folder]
    #[arg(long, env = "TACHOMETER_HISTORY", value_name = "PATH", help_heading = "Comparison")]
    history: PathBuf,

    /// Level of the confidence intervals [default: 0.95]
    #[arg(long, env = "TACHOMETER_CONFIDENCE_LEVEL", value_name = "LEVEL", help_heading = "Report")]
    confidence_level: f64,
    /// Resamples of the bootstrap in criterion's files; no verdict rests on it [default: 10000]
    #[arg(long, env = "TACHOMETER_NRESAMPLES", value_name = "N", help_heading = "Report")]
    nresamples: usize,
    /// What goes to stdout: criterion, for people; bencher, libtest's lines; json, a report a line; bmf, Bencher Metric Format; github, as criterion with two files for github-action-benchmark [default: criterion]
    #[arg(long, env = "TACHOMETER_OUTPUT_FORMAT", value_name = "FORMAT", help_heading = "Report", hide_possible_values = true)]
    output_format: OutputFormat,
    /// CSV file that gets a row a pass [default: profile_api_server.csv in the target directory's tachometer folder]
    #[arg(long, env = "TACHOMETER_CSV", value_name = "PATH", help_heading = "Report")]
    csv: PathBuf,
    /// Columns of the CSV: tachometer, or lmdeploy for the original's own [default: tachometer]
    #[arg(long, env = "TACHOMETER_CSV_FORMAT", value_name = "FORMAT", help_heading = "Report", hide_possible_values = true)]
    csv_format: CsvFormat,
    /// File that gets a JSON line a measured request
    #[arg(long, env = "TACHOMETER_SAVE_REQUESTS", value_name = "PATH", help_heading = "Report")]
    save_requests: PathBuf,
    /// Writes the prompts of the first pass and their digest to this file, a JSON line each, and sends nothing
    #[arg(long, env = "TACHOMETER_DUMP_WORKLOAD", value_name = "PATH", help_heading = "Report")]
    dump_workload: PathBuf,
}

fn json_object(text: &str) -> Result<JsonObject, String> {
    serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

fn one_or_many<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}

fn metrics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Metric>>, D::Error> {
    let names: Option<Vec<String>> = one_or_many(deserializer)?;
    let parse = |name: String| name.parse().map_err(|why| serde::de::Error::custom(format!("`{name}`: {why}")));
    names.map(|names| names.into_iter().map(parse).collect()).transpose()
}

fn from_text<'de, T: std::str::FromStr<Err = String>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

fn number_or_text<'de, T: std::str::FromStr<Err = String>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => number.to_string(),
        NumberOrText::Text(text) => text,
    };
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ObjectOrText {
    Object(JsonObject),
    Text(String),
}

fn object_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JsonObject>, D::Error> {
    match ObjectOrText::deserialize(deserializer)? {
        ObjectOrText::Object(object) => Ok(Some(object)),
        ObjectOrText::Text(text) => json_object(&text).map(Some).map_err(serde::de::Error::custom),
    }
}
