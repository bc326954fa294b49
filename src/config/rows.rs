//! Every setting, a row each: what it is, its name and type, where help lists it, its value's name, and its default.
//!
//! The name is the key of the file, and with `--` and `TACHOMETER_` the flag and the environment variable; the methods of the
//! builders have it too. Before it stands whose setting it is, if not a workload's: `run`, `server` (for the whole run too), or
//! `each` (the server's, which a workload may have its own of). A default is `value(…)`, one for all or one each for live servers
//! and for the embedded engine, or `text(…)`: what happens without it.

/// Hands all rows to another macro.
macro_rules! rows {
    ($expand:ident) => {
        $expand! {
            /// Server to measure: http://127.0.0.1:23333, https://…, or unix:/path/of/a/socket; without a scheme http is meant; the name of a [server.NAME] of the file; embedded for the simulated engine
            @server server: String = Server "URL|NAME" text("the first [server.NAME] of the file, or else the embedded engine");
            /// Model to ask for
            @each model: String = Server "NAME" text("the first of /v1/models");
            /// API that the server is spoken to by
            #[arg(help = api_help())]
            @each api: Api = Server "API" value(Api::default());
            /// Environment variable that holds the API key, sent as a bearer token
            @server api_key_env: String = Server "NAME" text("none");
            /// File that holds the API key, sent as a bearer token
            @server api_key_file: PathBuf = Server "PATH" text("none");
            /// Header to send with every request, `name: value`; may be repeated. Values appear in no file and no message
            #[arg(hide_env_values = true)]
            #[serde(deserialize_with = "one_or_many")]
            @server header: Vec<String> = Server "HEADER" text("none");
            /// PEM file of the certificates that are believed, for https
            @server ca_file: PathBuf = Server "PATH" text("the platform's");
            /// Believe any certificate; warns each time
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            @server insecure: bool = Server "BOOL" value(false);
            /// Page of the server's own metrics in Prometheus' format, read before and after each pass and once a second during it: a URL, or off
            @server metrics: String = Server "URL|off" text("/metrics of the server, where it has such");
            /// Page of NVIDIA's DCGM exporter, such as http://127.0.0.1:9400/metrics, read as --metrics is: power, use and memory of the GPUs, and joules per output token
            @server gpu_metrics: String = Server "URL" text("none");
            /// How many GPUs the server has: pages then show throughput per GPU, and runs with another number get a warning
            @server gpus: usize = Server "N" text("not said");
            /// Metrics of these pages that get estimates and verdicts like all others, under the name scrape:NAME; NAME for the mean of a gauge, rate:NAME for a counter, with higher: before it where more is better
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            @server scrape: Vec<String> = Server "NAME,…" text("none");
            /// Limit for one request, in seconds from its send to its end
            @each timeout: f64 = Server "SECONDS" value(600.0);
            /// Limit for opening a connection, in seconds
            @each connect_timeout: f64 = Server "SECONDS" value(10.0);
            /// Limit for the first token of a stream, in seconds from the send
            @each first_token_timeout: f64 = Server "SECONDS" value(300.0);
            /// Limit for the next event of a stream once its first token has come, in seconds; pings are none
            @each stall_timeout: f64 = Server "SECONDS" value(60.0);
            /// Wait so many seconds for a server that is not there or not ready, before each benchmark
            @server wait_ready: f64 = Server "SECONDS" value(0.0);
            /// Measure a second server in turn with the first, pass by pass, and compare the two: a [server.NAME] of the file, a git revision of the first one, or a URL
            @server against: String = Server "NAME|REV|URL" text("none");
            /// How two servers take turns: shared, both are up all the time, or exclusive, each is started for its pass and stopped after it
            #[arg(hide_possible_values = true)]
            @server turns: Turns = Server "HOW" value(Turns::default());
            /// Processes of a server that the run starts, over which the passes of each benchmark are spread, so that the intervals hold what processes of one build differ by; 1 for one process alone
            @server instances: usize = Server "N" text("as restart says; without that as many as passes, and fewer, but not under 3, where a start takes longer than a pass");
            /// The embedded engine's behaviour, as key=value,…: instance_num, decode_step_ms, decode_per_request_us, prefill_tokens_per_s, kv_tokens, jitter, fault_share
            #[serde(deserialize_with = "from_text")]
            @run engine: EngineConfig = Server "KEY=VALUE,…" text("see tachometer.toml");

            /// ShareGPT JSON file; FILE.jsonl with a prompt a line; sessions:FILE for conversations of several turns; random:PROMPT_TOKENS:OUTPUT_TOKENS for synthetic prompts of exact length, or random:FILE.csv of lengths to draw; prefix:GROUPS:SYSTEM_TOKENS:QUESTION_TOKENS:OUTPUT_TOKENS for groups of prompts that begin alike; trace:FILE for recorded lengths and times (Mooncake .jsonl, BurstGPT or Azure .csv)
            dataset: String = Workload "PATH" text("the crate's own, for the embedded engine only");
            /// tokenizer.json, SentencePiece's tokenizer.model (cargo feature sentencepiece), or a folder with one of them
            tokenizer: PathBuf = Workload "PATH" text("the crate's own, for the embedded engine only");
            /// How prompts are drawn: filter-then-sample (LMDeploy 2023) or shuffle-then-filter (SGLang, vLLM)
            sampler: Policy = Workload "POLICY" value(Policy::FilterThenSample);
            /// What becomes of ShareGPT conversations that the system begins: keep sends its text as the prompt, as the Python tools do; drop leaves it out; send puts it before the prompt as the system's message
            #[serde(deserialize_with = "from_text")]
            system_turns: SystemTurns = Workload "WHAT" value(SystemTurns::Keep);
            /// Conversations of sessions:FILE with fewer turns of the user are left out
            min_turns: usize = Workload "N" value(2);
            /// Tokens of the model's context: a conversation is cut before the turn whose prompt and answer have more
            max_context: u32 = Workload "N" text("none");
            /// Whose answers stand before the later turns of a conversation: recorded, those of the dataset, so that each run sends the same, or server, those that it has just given
            #[serde(deserialize_with = "from_text")]
            history_from: HistoryFrom = Workload "WHOSE" value(HistoryFrom::Recorded);
            /// Seconds from an answer to the next turn of its conversation, each drawn from the seed: a number, uniform(1,5), normal(3,1), lognormal(2,0.5) or exponential(2)
            #[serde(deserialize_with = "number_or_text")]
            think_time: Distribution = Workload "SECONDS" text("as recorded, or none");
            /// Part of trace:FILE that is sent, in seconds from its first request, such as 0..600 or 3600..
            #[serde(deserialize_with = "from_text")]
            trace_window: TraceWindow = Workload "FROM..TO" text("all of it");
            /// Seed of the first pass; pass i draws its prompts with seed + i
            seed: u64 = Workload "N" value(0);
            /// Prompts of a pass
            num_prompts: usize = Workload "N" value(2000, 64);
            /// Whether tokens are streamed; only then are token latencies measured
            stream: bool = Workload "BOOL" value(false, true);
            /// Whether the server is asked to go on to the full length
            ignore_eos: bool = Workload "BOOL" value(true);
            /// Nucleus sampling threshold
            #[arg(alias = "top_p")]
            top_p: f64 = Workload "P" value(1.0);
            /// Sampling temperature
            temperature: f64 = Workload "T" value(1.0);
            /// Tokens to ask for with every prompt
            max_tokens: u32 = Workload "N" text("the dataset's own answer length");
            /// Field that asks for them: max_tokens or max_completion_tokens
            max_tokens_field: String = Workload "NAME" value("max_tokens".to_owned());
            /// Whether stream_options.include_usage is sent with streams
            include_usage: bool = Workload "BOOL" value(true);
            /// JSON object merged into every request; its fields win
            #[arg(value_parser = json_object)]
            #[serde(deserialize_with = "object_or_text")]
            extra_body: JsonObject = Workload "JSON" text("none");
            /// Inputs of a request, for --api embeddings; documents beside the query, for rerank
            batch: usize = Workload "N" value(1);
            /// Draw prompts of their own for each load point and each half of a calibration, so that none of them finds another's prompts in the server's cache; a run and its baseline still send the same ones
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            fresh_prompts: bool = Workload "BOOL" value(false);
            /// Put words before each prompt that are others in every run, always 8 tokens, so that nothing comes from the server's prompt cache
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            cache_bust: bool = Workload "BOOL" value(false);

            /// Clients that send at once; a list makes one benchmark each, and sweep:1..256 one for each doubling, until more clients only make requests wait
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            concurrency: Vec<Loads<usize>> = Load "N,…" text("64; embedded engine: 8,64");
            /// Open loop: requests sent per second, whatever has become of the others, or inf for all at once; a list makes one benchmark each; sweep:8 finds the ends and makes eight, sweep:2..32 is between them
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            request_rate: Vec<Loads<RequestRate>> = Load "RATE,…" text("none");
            /// Load points by their names, which benchmarks end with; a list makes one benchmark each
        #[arg(value_delimiter = ',', help = load_help())]
        #[serde(deserialize_with = "one_or_many")]
        load: Vec<String> = Load "NAME,…" text("none");
        /// Gaps between the arrivals of an open loop: constant, poisson or gamma
            #[arg(hide_possible_values = true)]
            arrival: Arrival = Load "DISTRIBUTION" value(Arrival::default());
            /// Shape of --arrival gamma: 1 is poisson, less is burstier
            burstiness: f64 = Load "SHAPE" text("1");
            /// Recorded times are multiplied by it: 2 takes twice as long, at half the rate; 0.5 takes half as long
            time_scale: f64 = Load "FACTOR" text("1");
            /// Spread recorded times that lie on a coarse grid, such as every 3 s, over the time to its next point; the seed draws them
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            spread: bool = Load "BOOL" value(false);
            /// Open loop: a request that would be one more than this in flight waits, and its wait is reported
            max_in_flight: usize = Load "N" text("no limit");
            /// Most requests of a pass that may fail, a number or a share such as 5%; one more ends the benchmark
            #[serde(deserialize_with = "number_or_text")]
            max_failures: FailureBudget = Load "N|SHARE" value(FailureBudget::default());
            /// Times that a failed request is sent again where that may help; its latency counts from the first send, and the report says how many were
            retries: u32 = Load "N" value(0);
            /// How long a pass goes on, such as 60s, in place of each prompt once: prompts are sent again, in a new order, when all of them have been
            #[arg(value_parser = humantime::parse_duration)]
            #[serde(deserialize_with = "duration")]
            duration: Duration = Load "TIME" text("none: each prompt once");
            /// Requests sent before the first pass, on prompts that are not measured: a number, or a time such as 10s
            #[serde(deserialize_with = "number_or_text")]
            warmup: Warmup = Load "N|TIME" text("16, at most the concurrency");
            /// Passes of each benchmark, the unit of its statistics
            sample_size: usize = Load "N" value(5);
            /// Threads that the clients run on
            @run client_threads: usize = Load "N" text("the cores, less one");

            /// Service-level objectives, each met, missed or undecided: ttft_p99 < 300 ms, failed < 1 %, rps > 20, or a preset such as mlperf-llama2-70b-server
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            objective: Vec<String> = Objectives "OBJECTIVE,…" text("none");
            /// Limits within which a request is good, such as ttft < 300 ms, tpot < 50 ms: goodput_rps and good_share are then measured
            #[serde(deserialize_with = "from_text")]
            goodput: Goodput = Objectives "LIMITS" text("none");
            /// Search for the most load that holds the objectives, in place of the loads given: rate or concurrency
            #[serde(deserialize_with = "from_text")]
            find_max: Searched = Objectives "WHAT" text("none");
            /// How far apart the ends of what --find-max finds may be, as a share
            #[arg(value_parser = share)]
            #[serde(deserialize_with = "share_or_text")]
            precision: f64 = Objectives "SHARE" text("5%");

            /// Metrics that decide
            #[arg(value_delimiter = ',', help = gate_help())]
            #[serde(deserialize_with = "metrics")]
            gate: Vec<Metric> = Comparison "METRIC,…" text("output_tokens_per_s, and ttft_p50 when streaming; rpm and e2e_p50 without tokens; and goodput_rps with goodput");
            /// What makes the run exit with 3: never, or a list of regression (a gated metric that regressed or could not be compared, or more failed requests), not-comparable and inconclusive; and with 4: objective (one that is missed or can't be judged)
            #[arg(value_delimiter = ',', hide_possible_values = true)]
            #[serde(deserialize_with = "one_or_many")]
            @run fail_on: Vec<FailOn> = Comparison "WHAT,…" text("never");
            /// Changes up to this share are noise: 0.01 is 1 %
            noise_threshold: f64 = Comparison "SHARE" text("0.01, or what --resolve says");
            /// The change that matters, such as 3%: passes go on, however many --sample-size says, until each gated metric is shown to have changed by more than that or by less, or --time-budget is spent
            #[arg(value_parser = share)]
            #[serde(deserialize_with = "share_or_text")]
            @run resolve: f64 = Comparison "SHARE" text("none: --sample-size passes");
            /// How long the passes that --resolve asks for may take, all benchmarks together, such as 90s or 10m
            #[arg(value_parser = humantime::parse_duration)]
            #[serde(deserialize_with = "duration")]
            @run time_budget: Duration = Comparison "TIME" text("10m");
            /// Chance of any wrong `regressed` or `improved` among the gated metrics of a run, by what its passes and a calibration show
            @run significance_level: f64 = Comparison "LEVEL" value(0.05);
            /// File that gets a JSON line a run of a benchmark
            @run history: PathBuf = Comparison "PATH" text("history.jsonl in the output folder");

            /// Level of the confidence intervals
            @run confidence_level: f64 = Report "LEVEL" value(0.95);
            /// Resamples of the bootstrap in criterion's files; no verdict rests on it
            @run nresamples: usize = Report "N" value(10_000);
            /// What goes to stdout
            #[arg(help = output_format_help())]
            #[serde(deserialize_with = "from_text")]
            @run output_format: OutputFormat = Report "FORMAT" value(OutputFormat::default());
            /// Folder for all files that have no place of their own
            @run out: PathBuf = Report "DIR" text("tachometer in the target directory; ./tachometer for the program");
            /// CSV file that gets a row a pass
            @run csv: PathBuf = Report "PATH" text("profile_api_server.csv in the output folder");
            /// Columns of the CSV: tachometer, or lmdeploy for the original's own
            #[arg(hide_possible_values = true)]
            @run csv_format: CsvFormat = Report "FORMAT" value(CsvFormat::default());
            /// File that gets a JSON line a measured request
            @run save_requests: PathBuf = Report "PATH" text("none");
            /// Writes the prompts of the first pass and their digest to this file, a JSON line each, and sends nothing
            @run dump_workload: PathBuf = Report "PATH" text("none");
        }
    };
}

pub(super) use rows;
