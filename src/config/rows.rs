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
            /// Server to measure: a URL such as http://127.0.0.1:23333, https://… or unix:/path/to/socket (http if there is no scheme); the name of a [server.NAME] table in the file; or embedded for the simulated engine
            @server server: String = Server "URL|NAME" text("the first [server.NAME] in the file, or the embedded engine if there is none");
            /// Model to ask for
            @each model: String = Server "NAME" text("the first of /v1/models");
            /// API to use
            #[arg(help = api_help())]
            @each api: Api = Server "API" value(Api::default());
            /// Environment variable that holds the API key, sent as a bearer token
            @server api_key_env: String = Server "NAME" text("none");
            /// File that holds the API key, sent as a bearer token
            @server api_key_file: PathBuf = Server "PATH" text("none");
            /// Header to send with every request, as `name: value`; may be repeated. Values are never shown in files or messages
            #[arg(hide_env_values = true)]
            #[serde(deserialize_with = "one_or_many")]
            @server header: Vec<String> = Server "HEADER" text("none");
            /// PEM file of the certificates that are believed, for https
            @server ca_file: PathBuf = Server "PATH" text("the platform's");
            /// Accept any certificate; prints a warning each time
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            @server insecure: bool = Server "BOOL" value(false);
            /// URL of the server's own Prometheus metrics, read before and after each pass and once a second during it; or off
            @server metrics: String = Server "URL|off" text("/metrics on the server, if it has one");
            /// URL of NVIDIA's DCGM exporter, such as http://127.0.0.1:9400/metrics, read as often as --metrics: GPU power, utilization and memory, and joules per output token
            @server gpu_metrics: String = Server "URL" text("none");
            /// Number of GPUs of the server: pages then show throughput per GPU, and a comparison with a run on a different number gets a warning
            @server gpus: usize = Server "N" text("not set");
            /// Metrics from these pages that get estimates and verdicts like any other metric, under the name scrape:NAME; NAME for the mean of a gauge, rate:NAME for a counter, prefixed with higher: if more is better
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            @server scrape: Vec<String> = Server "NAME,…" text("none");
            /// Limit for one request, in seconds from its send to its end
            @each timeout: f64 = Server "SECONDS" value(600.0);
            /// Limit for opening a connection, in seconds
            @each connect_timeout: f64 = Server "SECONDS" value(10.0);
            /// Limit for the first token of a stream, in seconds from the send
            @each first_token_timeout: f64 = Server "SECONDS" value(300.0);
            /// Time limit for the next event of a stream after its first token, in seconds; pings do not count as events
            @each stall_timeout: f64 = Server "SECONDS" value(60.0);
            /// Wait up to this many seconds for a server that is not up or not ready, before each benchmark
            @server wait_ready: f64 = Server "SECONDS" value(0.0);
            /// Measure a second server in turn with the first, pass by pass, and compare the two: a [server.NAME] in the file, a git revision of the first server, or a URL
            @server against: String = Server "NAME|REV|URL" text("none");
            /// How two servers take turns: shared, both are up all the time, or exclusive, each is started for its pass and stopped after it
            #[arg(hide_possible_values = true)]
            @server turns: Turns = Server "HOW" value(Turns::default());
            /// Number of processes of a server that the run starts; the passes of each benchmark are spread over them, so that the intervals include the differences between processes of the same build; 1 for a single process
            @server instances: usize = Server "N" text("as restart says; otherwise one per pass, or fewer (but at least 3) if a start takes longer than a pass");
            /// The embedded engine's behaviour, as key=value,…: instance_num, decode_step_ms, decode_per_request_us, prefill_tokens_per_s, kv_tokens, jitter, fault_share
            #[serde(deserialize_with = "from_text")]
            @run engine: EngineConfig = Server "KEY=VALUE,…" text("see tachometer.toml");

            /// ShareGPT JSON file; FILE.jsonl with one prompt per line; sessions:FILE for multi-turn conversations; random:PROMPT_TOKENS:OUTPUT_TOKENS for synthetic prompts of exact length, or random:FILE.csv to draw lengths from a file; prefix:GROUPS:SYSTEM_TOKENS:QUESTION_TOKENS:OUTPUT_TOKENS for groups of prompts with a shared prefix; trace:FILE for recorded lengths and times (Mooncake .jsonl, BurstGPT or Azure .csv)
            dataset: String = Workload "PATH" text("built in, for the embedded engine only");
            /// tokenizer.json, SentencePiece's tokenizer.model (cargo feature sentencepiece), or a folder with one of them
            tokenizer: PathBuf = Workload "PATH" text("built in, for the embedded engine only");
            /// How prompts are drawn: filter-then-sample (LMDeploy 2023) or shuffle-then-filter (SGLang, vLLM)
            sampler: Policy = Workload "POLICY" value(Policy::FilterThenSample);
            /// What to do with ShareGPT conversations that begin with a system turn: keep sends its text as the prompt, as the Python tools do; drop leaves it out; send puts it before the prompt as a system message
            #[serde(deserialize_with = "from_text")]
            system_turns: SystemTurns = Workload "WHAT" value(SystemTurns::Keep);
            /// Leave out conversations of sessions:FILE with fewer user turns than this
            min_turns: usize = Workload "N" value(2);
            /// Context length of the model, in tokens: a conversation is cut before the first turn whose prompt and answer exceed it
            max_context: u32 = Workload "N" text("none");
            /// Whose answers to send as history before the later turns of a conversation: recorded (those in the dataset, so that each run sends the same) or server (those it has just given)
            #[serde(deserialize_with = "from_text")]
            history_from: HistoryFrom = Workload "WHOSE" value(HistoryFrom::Recorded);
            /// Seconds between an answer and the next turn of its conversation, drawn with the seed: a number, uniform(1,5), normal(3,1), lognormal(2,0.5) or exponential(2)
            #[serde(deserialize_with = "number_or_text")]
            think_time: Distribution = Workload "SECONDS" text("as recorded, or none");
            /// Part of trace:FILE that is sent, in seconds from its first request, such as 0..600 or 3600..
            #[serde(deserialize_with = "from_text")]
            trace_window: TraceWindow = Workload "FROM..TO" text("all of it");
            /// Seed of the first pass; pass i draws its prompts with seed + i
            seed: u64 = Workload "N" value(0);
            /// Prompts of a pass
            num_prompts: usize = Workload "N" value(2000, 64);
            /// Whether to stream tokens; token latencies are only measured when streaming
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
            /// Inputs per request, for --api embeddings; documents per query, for rerank
            batch: usize = Workload "N" value(1);
            /// Draw separate prompts for each load point and each half of a calibration, so that none of them finds another's prompts in the server's cache; a run and its baseline still send the same prompts
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            fresh_prompts: bool = Workload "BOOL" value(false);
            /// Put 8 tokens of text before each prompt, different in every run, so that nothing comes from the server's prompt cache
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            cache_bust: bool = Workload "BOOL" value(false);

            /// Number of concurrent clients; a list makes one benchmark for each, and sweep:1..256 one for each doubling, until more clients only make requests wait
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            concurrency: Vec<Loads<usize>> = Load "N,…" text("64; embedded engine: 8,64");
            /// Open loop: requests to send per second, without waiting for answers, or inf for all at once; a list makes one benchmark for each; sweep:8 finds the range and makes eight, sweep:2..32 gives the range
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            request_rate: Vec<Loads<RequestRate>> = Load "RATE,…" text("none");
            /// Load points by name, as at the end of benchmark names; a list makes one benchmark for each
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
            /// Spread recorded times that lie on a coarse grid, such as every 3 s, over the interval to the next grid point; drawn with the seed
            #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
            spread: bool = Load "BOOL" value(false);
            /// Open loop: how many requests may be in flight at once; a request beyond that waits, and its wait is reported
            max_in_flight: usize = Load "N" text("no limit");
            /// How many requests of a pass may fail, as a number or a share such as 5%; one more ends the benchmark
            #[serde(deserialize_with = "number_or_text")]
            max_failures: FailureBudget = Load "N|SHARE" value(FailureBudget::default());
            /// How many times to retry a failed request if that may help; its latency counts from the first attempt, and the report says how many requests were retried
            retries: u32 = Load "N" value(0);
            /// How long a pass lasts, such as 60s, instead of sending each prompt once: when all prompts have been sent, they are sent again in a new order
            #[arg(value_parser = humantime::parse_duration)]
            #[serde(deserialize_with = "duration")]
            duration: Duration = Load "TIME" text("none: each prompt once");
            /// Warm-up before the first pass, with prompts that are not measured: a number of requests, or a time such as 10s
            #[serde(deserialize_with = "number_or_text")]
            warmup: Warmup = Load "N|TIME" text("16, or the concurrency if that is lower");
            /// Passes of each benchmark, the unit of its statistics
            sample_size: usize = Load "N" value(5);
            /// Threads that the clients run on
            @run client_threads: usize = Load "N" text("the cores, less one");
            /// Which part of the load this process sends, as RANK/SHARDS such as 0/4, or auto to read it from Slurm, Kubernetes, Open MPI or MPICH; shard 0 has the results
            @run shard: String = Load "auto|R/N" text("none: all of it");
            /// Number of shards, for --shard auto on Kubernetes
            @run shards: usize = Load "N" text("as the launcher says");
            /// Where shards find one another: a folder that all can write, or HOST:PORT of shard 0, which needs the same TACHOMETER_RENDEZVOUS_TOKEN in the environment of all
            @run rendezvous: String = Load "DIR|HOST:PORT" text("none; needed with --shard");
            /// How long a shard that has not come, or has fallen silent, is waited for, in seconds
            @run shard_timeout: f64 = Load "SECONDS" value(30.0);

            /// Service-level objectives, each met, missed or undecided: ttft_p99 < 300 ms, failed < 1 %, rps > 20, or a preset such as mlperf-llama2-70b-server
            #[arg(value_delimiter = ',')]
            #[serde(deserialize_with = "one_or_many")]
            objective: Vec<String> = Objectives "OBJECTIVE,…" text("none");
            /// Limits that a request must keep to count as good, such as ttft < 300 ms, tpot < 50 ms; goodput_rps and good_share are then measured
            #[serde(deserialize_with = "from_text")]
            goodput: Goodput = Objectives "LIMITS" text("none");
            /// Search for the highest load that meets the objectives, instead of measuring the given loads: rate or concurrency
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
            noise_threshold: f64 = Comparison "SHARE" text("0.01, or the value of --resolve");
            /// The smallest change that matters, such as 3%: passes continue, whatever --sample-size says, until each gated metric is shown to have changed by more than that or by less, or until --time-budget is used up
            #[arg(value_parser = share)]
            #[serde(deserialize_with = "share_or_text")]
            @run resolve: f64 = Comparison "SHARE" text("none: --sample-size passes");
            /// Time limit for the passes that --resolve makes, for all benchmarks together, such as 90s or 10m
            #[arg(value_parser = humantime::parse_duration)]
            #[serde(deserialize_with = "duration")]
            @run time_budget: Duration = Comparison "TIME" text("10m");
            /// Accepted chance of any wrong `regressed` or `improved` among the gated metrics of a run, as far as its passes and a calibration show
            @run significance_level: f64 = Comparison "LEVEL" value(0.05);
            /// File to which each run of a benchmark appends a JSON line
            @run history: PathBuf = Comparison "PATH" text("history.jsonl in the output folder");

            /// Level of the confidence intervals
            @run confidence_level: f64 = Report "LEVEL" value(0.95);
            /// Resamples of the bootstrap in criterion's files; no verdict rests on it
            @run nresamples: usize = Report "N" value(10_000);
            /// What goes to stdout
            #[arg(help = output_format_help())]
            #[serde(deserialize_with = "from_text")]
            @run output_format: OutputFormat = Report "FORMAT" value(OutputFormat::default());
            /// Folder for all files that have no setting of their own
            @run out: PathBuf = Report "DIR" text("tachometer in the target directory; ./tachometer for the program");
            /// CSV file that gets one row per pass
            @run csv: PathBuf = Report "PATH" text("profile_api_server.csv in the output folder");
            /// Columns of the CSV: tachometer, or lmdeploy for the original's own
            #[arg(hide_possible_values = true)]
            @run csv_format: CsvFormat = Report "FORMAT" value(CsvFormat::default());
            /// File that gets one JSON line per measured request
            @run save_requests: PathBuf = Report "PATH" text("none");
            /// Write the prompts of the first pass and their digest to this file, one JSON line each, and send nothing
            @run dump_workload: PathBuf = Report "PATH" text("none");
        }
    };
}

pub(super) use rows;
