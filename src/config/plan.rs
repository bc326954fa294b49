//! From layers of settings to benchmarks.

use std::{path::PathBuf, time::Duration};

use super::{
    Arguments, Code, ConfigError, ConfigFile, FailOn, Settings, Warmup, Workload,
    file::check_name,
    load::{FindMax, duration, find_max, load_points, sweeps},
    seconds::seconds,
    server::{MetricsPage, Named, ServerSpec, against, gpu_metrics, is_live, metrics_page, scrapes, server, timeouts},
    servers::NamedServers,
    settings::{Setting, Turns, Values},
    shards::{Parts, shards},
    sweep::Sweep,
    terms::{Resolve, fail_on, level, objectives, resolve, terms},
};
use crate::{
    client::{Sampling, Timeouts},
    compare::Terms,
    dataset::{Dataset, Distribution, HistoryFrom, Policy, SystemTurns, TraceWindow},
    fixtures,
    load::{FailureBudget, LoadPoint, Searched},
    metrics::{Goodput, Objective, Scrape},
    report::{CsvFormat, OutputFormat},
    shard,
};

/// Everything that a run does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// In the order in which they run.
    pub benchmarks: Vec<Benchmark>,
    /// What is measured.
    pub server: ServerSpec,
    /// Whether that was said: where it was not, the embedded engine is.
    pub has_server: bool,
    /// What is measured in turn with it.
    pub against: Option<ServerSpec>,
    /// How the two take turns.
    pub turns: Turns,
    /// Where a server's own metrics are read.
    pub metrics: MetricsPage,
    /// Where those of its GPUs are read.
    pub gpu_metrics: Option<String>,
    /// How many GPUs the server has, where that was said.
    pub gpus: Option<usize>,
    /// What of both becomes metrics of the run.
    pub scrape: Vec<Scrape>,
    /// Processes of a server that the run starts, over which the passes of a benchmark are spread, where that was said.
    pub instances: Option<usize>,
    /// What passes go on for, where their number is not fixed.
    pub resolve: Option<Resolve>,
    /// How long a server that is not ready is waited for.
    pub wait_ready: Duration,
    /// Threads that the clients run on.
    pub client_threads: usize,
    /// Which part of the run this process is, where it is one of several, and how it finds the others.
    pub shards: Option<shard::Terms>,
    /// Level of the confidence intervals.
    pub confidence_level: f64,
    /// What makes a run that ended well exit with 3 or 4; empty for nothing.
    pub fail_on: Vec<FailOn>,
    /// Where the history is, if not in its usual place.
    pub history: Option<PathBuf>,
    /// Resamples of the bootstrap in criterion's files.
    pub nresamples: usize,
    /// What goes to stdout.
    pub output_format: OutputFormat,
    /// Where files go that have no place of their own, if not into the target directory.
    pub out: Option<PathBuf>,
    /// Where the CSV goes, if not to its usual place.
    pub csv: Option<PathBuf>,
    /// Its columns.
    pub csv_format: CsvFormat,
    /// Where a line a request goes.
    pub save_requests: Option<PathBuf>,
    /// Where the workload goes, instead of being sent.
    pub dump_workload: Option<PathBuf>,
}

/// A workload at a load point.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Benchmark {
    /// E.g. `sharegpt/c64`.
    pub name: String,
    /// What is sent.
    pub workload: WorkloadPlan,
    /// How it is sent.
    pub load: LoadPoint,
    /// In place of that load, the most that holds is to be found.
    pub find_max: Option<FindMax>,
    /// In place of that load, several are to be measured, a benchmark each.
    pub sweep: Option<Sweep>,
    /// The name of the sweep that it is a load of.
    pub point_of: Option<String>,
}

impl Benchmark {
    /// How many benchmarks it stands for, at most.
    pub(crate) fn parts(&self) -> usize {
        self.sweep.map_or(1, |sweep| sweep.range.most())
    }
}

/// What is sent, and how often.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkloadPlan {
    /// E.g. `sharegpt`.
    pub name: String,
    /// Where prompts come from.
    pub dataset: Dataset,
    /// What counts tokens; `None` is the crate's own fixture.
    pub tokenizer: Option<PathBuf>,
    /// How prompts are drawn.
    pub sampler: Policy,
    /// What becomes of conversations that the system begins.
    pub system_turns: SystemTurns,
    /// Conversations with fewer turns are left out.
    pub min_turns: usize,
    /// Tokens that a turn and all before it may have.
    pub max_context: Option<u32>,
    /// Whose answers stand before later turns.
    pub history_from: HistoryFrom,
    /// Seconds from an answer to the next turn, where they are not those of the dataset.
    pub think_time: Option<Distribution>,
    /// The part of a trace that is sent.
    pub trace_window: Option<TraceWindow>,
    /// Of the first pass.
    pub seed: u64,
    /// Of a pass.
    pub num_prompts: usize,
    /// How long a pass goes on, where it does not send each of them once.
    pub duration: Option<Duration>,
    /// Inputs of a request, where the API takes several.
    pub batch: usize,
    /// Whether each load point, and each half of a calibration, draws prompts of its own.
    pub fresh_prompts: bool,
    /// Whether words that are others in every run stand before each prompt.
    pub cache_bust: bool,
    /// Passes.
    pub sample_size: usize,
    /// What is sent before the first pass; `None` leaves it to the load.
    pub warmup: Option<Warmup>,
    /// The model that was named.
    pub model: Option<String>,
    /// What is asked beside the prompt.
    pub sampling: Sampling,
    /// How long each part of a request may take.
    pub timeouts: Timeouts,
    /// How many requests of a pass may fail.
    pub max_failures: FailureBudget,
    /// How often a failed request is sent again.
    pub retries: u32,
    /// What a comparison goes by.
    pub terms: Terms,
    /// What the server is to hold.
    pub objectives: Vec<Objective>,
    /// Limits within which a request is good.
    pub goodput: Option<Goodput>,
}

impl WorkloadPlan {
    /// Texts of a request.
    pub(crate) fn inputs(&self) -> usize {
        self.sampling.api.texts(self.batch)
    }

    /// What is sent before the first pass at a load: enough to open every path once, no more.
    pub fn warmup_at(&self, load: &LoadPoint) -> Warmup {
        self.warmup.unwrap_or(Warmup::Requests(load.shape().connections(self.num_prompts).min(16)))
    }
}

/// Puts the layers together and checks every value. With `tiny`, every benchmark becomes one small pass on the embedded
/// engine, whatever was configured.
///
/// # Errors
/// Where a value makes no sense, or a live server lacks a dataset or tokenizer.
pub fn plan(arguments: &Arguments, code: &Code, file: &ConfigFile, tiny: bool) -> Result<Plan, ConfigError> {
    put_together(arguments, code, file, tiny).map_err(|error| match error {
        ConfigError::Value { setting, why } => {
            // What the file says is named by its place there.
            let known = setting.strip_prefix("--").and_then(|flag| Setting::named(&flag.replace('-', "_")));
            let of_file = known.filter(|known| !arguments.settings.has(known.name) && !code.has(known.name));
            let place = of_file.and_then(|known| file.place_of(known));
            ConfigError::Value { setting: place.unwrap_or(setting), why }
        }
        error => error,
    })
}

fn put_together(arguments: &Arguments, code: &Code, file: &ConfigFile, tiny: bool) -> Result<Plan, ConfigError> {
    let mut top = arguments.settings.clone().over(&code.settings).over(&file.settings);
    let of_code = code.servers.iter();
    let of_file = file.servers.iter().filter(|(name, _)| code.servers.iter().all(|(other, _)| other != name));
    let servers: Vec<_> = of_code.chain(of_file).map(|(name, server)| (name.as_str(), server)).collect();
    let servers: &NamedServers = &servers;
    if top.server.is_none() {
        top.server = servers.first().map(|(name, _)| (*name).to_owned());
    }
    let live = top.server.as_deref().is_some_and(is_live);
    let has_server = top.server.is_some() || top.engine.is_some();

    // A dataset given by flag or variable stands for one workload, in place of those that code and the file name.
    let mut named: Vec<(String, Settings, Option<Dataset>)> = Vec::new();
    if arguments.settings.dataset.is_none() {
        let layers = |settings: &Settings| arguments.settings.clone().over(settings);
        for Workload { name, settings, prompts } in &code.workloads {
            check_name(name).map_err(|why| ConfigError::value("Workload::new", why))?;
            let of_file = file.workloads.iter().find(|(other, _)| other == name);
            let of_file = of_file.map(|(_, settings)| settings.clone()).unwrap_or_default();
            let layered = layers(settings).over(&of_file).over(&code.settings).over(&file.settings);
            named.push((name.clone(), layered, prompts.clone()));
        }
        let of_file = file.workloads.iter().filter(|(name, _)| code.workloads.iter().all(|other| other.name != *name));
        let layered = |settings| layers(settings).over(&code.settings).over(&file.settings);
        named.extend(of_file.map(|(name, settings)| (name.clone(), layered(settings), None)));
    }
    if named.is_empty() {
        named.push((String::new(), top.clone(), None));
    }
    let mut benchmarks = Vec::new();
    for (name, settings, prompts) in named {
        let values = settings.values(live);
        let dataset = values.dataset.as_deref().map(dataset).transpose()?.or(prompts);
        let has_times = dataset.as_ref().is_some_and(Dataset::has_times);
        let workload = workload(name, dataset, &values, live, tiny)?;
        if let Some(find) = find_max(&values, &workload.objectives)?.filter(|_| !tiny) {
            let names_recorded = values.load.iter().flatten().any(|load| load.starts_with("recorded"));
            if values.time_scale.is_some() || values.spread || names_recorded {
                let why = "it chooses its own loads: leave out --time-scale, --spread and --load recorded";
                return Err(ConfigError::value("--find-max", why));
            }
            if top.against.is_some() {
                return Err(ConfigError::value("--find-max", "it measures one server: leave out --against"));
            }
            benchmarks.push(Benchmark {
                name: format!("{}/max-{}", workload.name, find.searched),
                workload,
                // Where it begins, for what looks at prompts alone.
                load: LoadPoint::closed(1),
                find_max: Some(find),
                sweep: None,
                point_of: None,
            });
            continue;
        }
        for sweep in sweeps(&values)? {
            if sweep.range.ends.is_none() && arguments.load_baseline.is_some() {
                let why = "this sweep finds its loads by measuring: give it a range, as in sweep:1..64";
                return Err(ConfigError::value("--load-baseline", why));
            }
            benchmarks.push(Benchmark {
                name: format!("{}/sweep-{}", workload.name, sweep.swept),
                // No load finds another's prompts in the server's cache.
                workload: WorkloadPlan { fresh_prompts: !tiny, ..workload.clone() },
                load: LoadPoint::closed(1),
                find_max: None,
                sweep: Some(sweep).filter(|_| !tiny),
                point_of: None,
            });
        }
        for load in load_points(&values, live, has_times)? {
            benchmarks.push(Benchmark {
                name: format!("{}/{}", workload.name, load.shape().name()),
                workload: workload.clone(),
                load: if tiny { load.tiny() } else { load },
                find_max: None,
                sweep: None,
                point_of: None,
            });
        }
    }
    for (i, benchmark) in benchmarks.iter().enumerate() {
        if benchmarks[..i].iter().any(|other| other.name == benchmark.name) {
            let is_of_clients = match benchmark.sweep {
                Some(sweep) => sweep.swept == Searched::Concurrency,
                None => benchmark.load.shape().concurrency().is_some(),
            };
            let flag = match is_of_clients {
                true => "--concurrency",
                false if benchmark.load.shape().is_recorded() => "--load",
                false => "--request-rate",
            };
            return Err(ConfigError::value(flag, format!("{} is given twice", benchmark.name)));
        }
    }
    let top = top.values(live);
    let folder = file.folder();
    let named = Named { servers, folder: &folder };
    let first = server(&top, &named, tiny, arguments.list)?;
    let second = match top.against.as_ref().filter(|_| !tiny) {
        Some(_) if arguments.baseline.is_some() || arguments.load_baseline.is_some() || arguments.calibrate => {
            let why = "it compares with a server measured in the same run: leave out --baseline, --load-baseline and --calibrate";
            return Err(ConfigError::value("--against", why));
        }
        Some(text) => Some(against(text, &first, &top, &named, arguments.list)?),
        None => None,
    };
    let starts = |spec: &ServerSpec| matches!(spec, ServerSpec::Started { .. });
    if let Some(second) = second.as_ref().filter(|second| !(starts(&first) && starts(second)))
        && top.turns == Turns::Exclusive
    {
        let runs = if starts(&first) { second.identity() } else { first.identity() };
        let why = format!("exclusive turns need servers that the run starts with a `command`, and `{runs}` is not one");
        return Err(ConfigError::value("--turns", why));
    }
    let instances = match top.instances.filter(|_| !tiny) {
        Some(0) => return Err(ConfigError::value("--instances", "0 processes would measure nothing: use 1 or more")),
        Some(_) if ![Some(&first), second.as_ref()].into_iter().flatten().any(starts) => {
            let why = "passes can only be spread over processes of a server that the run starts with a `command`";
            return Err(ConfigError::value("--instances", why));
        }
        instances => instances,
    };
    let servers: Vec<&ServerSpec> = [Some(&first), second.as_ref()].into_iter().flatten().collect();
    let at_once = |benchmark: &Benchmark| {
        let shape = benchmark.load.shape();
        match (&benchmark.find_max, &benchmark.sweep) {
            // It begins with as many as there are shards.
            (Some(_), _) => None,
            (None, Some(sweep)) => {
                sweep.range.ends.filter(|_| sweep.swept == Searched::Concurrency).map(|(low, _)| low as usize)
            }
            (None, None) => [shape.concurrency(), shape.max_in_flight()].into_iter().flatten().min(),
        }
    };
    let at_once = benchmarks.iter().filter_map(|b| Some((b.name.as_str(), at_once(b)?))).collect();
    let parts = Parts { at_once, servers: &servers };
    let shards = if tiny { None } else { shards(&top, &parts, &|name| std::env::var(name).ok())? };
    Ok(Plan {
        benchmarks,
        server: first,
        has_server,
        against: second,
        turns: top.turns,
        metrics: metrics_page(&top)?,
        gpu_metrics: gpu_metrics(&top)?.filter(|_| !tiny),
        gpus: match top.gpus {
            Some(0) => return Err(ConfigError::value("--gpus", "leave it out for a server without GPUs")),
            gpus => gpus.filter(|_| !tiny),
        },
        scrape: scrapes(&top)?.into_iter().filter(|_| !tiny).collect(),
        instances,
        resolve: resolve(&top)?.filter(|_| !tiny && !arguments.calibrate),
        wait_ready: match top.wait_ready {
            0.0 => Duration::ZERO,
            value => seconds("--wait-ready", value)?,
        },
        client_threads: client_threads(&top)?,
        shards,
        confidence_level: level("--confidence-level", top.confidence_level)?,
        fail_on: fail_on(&top)?,
        history: top.history,
        nresamples: top.nresamples,
        output_format: top.output_format,
        out: top.out,
        csv: top.csv,
        csv_format: top.csv_format,
        save_requests: top.save_requests,
        dump_workload: top.dump_workload,
    })
}

/// Where their number is not fixed.
pub(crate) const MOST_PASSES: usize = 1000;
const TINY_PROMPTS: usize = 6;
const TINY_TOKENS: u32 = 8;

fn dataset(text: &str) -> Result<Dataset, ConfigError> {
    text.parse().map_err(|why: String| ConfigError::value("--dataset", why))
}

fn workload(
    name: String,
    named: Option<Dataset>,
    values: &Values,
    live: bool,
    tiny: bool,
) -> Result<WorkloadPlan, ConfigError> {
    let at_least_1 = |flag: &str, value: usize| match value {
        0 => Err(ConfigError::value(flag, "0 would measure nothing: use 1 or more")),
        n => Ok(n),
    };
    if values.trace_window.is_some() && !named.as_ref().is_some_and(Dataset::has_times) {
        return Err(ConfigError::value(
            "--trace-window",
            "it selects part of a trace: give one with --dataset trace:FILE",
        ));
    }
    let name = match (name.is_empty(), &named) {
        (false, _) => name,
        (true, Some(dataset)) => dataset.workload_name(),
        (true, None) => fixtures::dataset().workload_name(),
    };
    let dataset = match named {
        Some(dataset) if !tiny => dataset,
        None if live && !tiny => {
            let prompts = "a live server needs prompts: name a ShareGPT file, one of your own (FILE.jsonl), sessions:FILE, trace:FILE, or \
                           random:PROMPT_TOKENS:OUTPUT_TOKENS";
            // All that is missing at once.
            let tokenizer =
                "; and give --tokenizer its tokenizer.json, tokenizer.model or folder, to count their tokens";
            let why = format!("{prompts}{}", if values.tokenizer.is_none() { tokenizer } else { "" });
            return Err(ConfigError::value("--dataset", why));
        }
        _ => fixtures::dataset(),
    };
    if live && !tiny && values.tokenizer.is_none() {
        let why = "a live server's prompts are counted with its own tokenizer: give its tokenizer.json, tokenizer.model or folder";
        return Err(ConfigError::value("--tokenizer", why));
    }
    let field = &values.max_tokens_field;
    if !matches!(field.as_str(), "max_tokens" | "max_completion_tokens") {
        let why = format!("`{field}` is neither max_tokens nor max_completion_tokens");
        return Err(ConfigError::value("--max-tokens-field", why));
    }
    if values.max_tokens == Some(0) {
        return Err(ConfigError::value("--max-tokens", "0 tokens are no answer: use 1 or more"));
    }
    let sampling = Sampling {
        api: values.api,
        stream: values.stream && values.api.generates(),
        ignore_eos: values.ignore_eos,
        temperature: in_range("--temperature", values.temperature, 0.0, 100.0)?,
        top_p: in_range("--top-p", values.top_p, 0.0, 1.0)?,
        max_tokens: if tiny { Some(TINY_TOKENS) } else { values.max_tokens },
        max_tokens_field: field.clone(),
        include_usage: values.include_usage,
        extra_body: values.extra_body.clone().filter(|_| !tiny).unwrap_or_default(),
    };
    if let Some(field) = PROMPT_FIELDS.iter().find(|field| sampling.extra_body.contains_key(**field)) {
        let why = format!("`{field}` is the prompt's place, and prompts come from --dataset");
        return Err(ConfigError::value("--extra-body", why));
    }
    if at_least_1("--batch", values.batch)? > 1 && sampling.api.generates() {
        let why = format!("--api {} takes one prompt a request", sampling.api);
        return Err(ConfigError::value("--batch", why));
    }
    let num_prompts = at_least_1("--num-prompts", values.num_prompts)?;
    let sample_size = at_least_1("--sample-size", values.sample_size)?;
    if let Some(Warmup::Time(time)) = values.warmup.filter(|_| !tiny) {
        seconds("--warmup", time.as_secs_f64())?;
    }
    if values.seed.checked_add(sample_size.max(MOST_PASSES) as u64).is_none() {
        let why = format!("{} is too large: later passes add to it", values.seed);
        return Err(ConfigError::value("--seed", why));
    }
    Ok(WorkloadPlan {
        name,
        dataset,
        tokenizer: values.tokenizer.clone().filter(|_| !tiny),
        sampler: values.sampler,
        system_turns: values.system_turns,
        min_turns: at_least_1("--min-turns", values.min_turns)?,
        max_context: values.max_context,
        history_from: values.history_from,
        think_time: values.think_time.filter(|_| !tiny),
        trace_window: values.trace_window.filter(|_| !tiny),
        seed: values.seed,
        num_prompts: if tiny { TINY_PROMPTS } else { num_prompts },
        duration: duration(values)?.filter(|_| !tiny),
        batch: values.batch,
        fresh_prompts: values.fresh_prompts && !tiny,
        cache_bust: values.cache_bust && !tiny,
        sample_size: if tiny { 1 } else { sample_size },
        warmup: if tiny { Some(Warmup::Requests(1)) } else { values.warmup },
        model: values.model.clone().filter(|_| !tiny),
        sampling,
        timeouts: timeouts(values)?,
        max_failures: values.max_failures,
        retries: values.retries,
        terms: terms(values)?,
        objectives: objectives(values)?,
        goodput: values.goodput.clone(),
    })
}

/// Where bodies have the prompt, whatever the API.
const PROMPT_FIELDS: [&str; 5] = ["messages", "prompt", "input", "inputs", "text"];

fn client_threads(top: &Values) -> Result<usize, ConfigError> {
    match top.client_threads {
        Some(0) => Err(ConfigError::value("--client-threads", "0 threads would send nothing: use 1 or more")),
        Some(n) => Ok(n),
        // One core is left to the server, which may be on this machine, and embedded ones are.
        None => Ok(std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))),
    }
}

fn in_range(flag: &str, value: f64, least: f64, most: f64) -> Result<f64, ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::value(flag, format!("{value} is not between {least} and {most}")))
}

#[cfg(test)]
mod tests {
    use super::{super::sweep::SweepRange, *};
    use crate::load::RequestRate;

    fn planned(flags: &[&str], file: &str, tiny: bool) -> Result<Plan, String> {
        planned_with(flags, &Code::default(), file, tiny)
    }

    fn planned_with(flags: &[&str], code: &Code, file: &str, tiny: bool) -> Result<Plan, String> {
        let cli = Arguments::try_parse_without_environment(flags).map_err(|e| e.to_string())?;
        let path = std::env::temp_dir().join(format!(
            "tachometer-plan-{}-{:?}.toml",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, file).unwrap();
        let read = ConfigFile::read(&path);
        std::fs::remove_file(&path).unwrap();
        plan(&cli, code, &read.map_err(|e| e.to_string())?, tiny).map_err(|e| e.to_string())
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.benchmarks.iter().map(|b| b.name.as_str()).collect()
    }

    const LIVE: [&str; 6] = ["--server", "h:1", "--dataset", "d.json", "--tokenizer", "t.json"];

    #[test]
    fn defaults_are_those_of_the_method() {
        let embedded = planned(&[], "", false).unwrap();
        assert_eq!(names(&embedded), ["sharegpt/c8", "sharegpt/c64"]);
        let workload = &embedded.benchmarks[0].workload;
        assert_eq!((workload.num_prompts, workload.sample_size, workload.sampling.stream), (64, 5, true));

        let live = planned(&LIVE, "", false).unwrap();
        assert_eq!(names(&live), ["sharegpt/c64"]);
        let workload = &live.benchmarks[0].workload;
        assert_eq!((workload.num_prompts, workload.seed, workload.sampling.stream), (2000, 0, false));
        assert_eq!(
            (workload.sampling.top_p, workload.sampling.temperature, workload.sampling.ignore_eos),
            (1.0, 1.0, true)
        );
        assert_eq!(workload.sampling.max_tokens, None);
    }

    #[test]
    fn precedence() {
        let file = "seed = 1\nnum_prompts = 10\n[workload.a]\nseed = 2\nconcurrency = [1, 2]\n[workload.b]\n";
        let plan = planned(&["--num-prompts", "7"], file, false).unwrap();
        assert_eq!(names(&plan), ["a/c1", "a/c2", "b/c8", "b/c64"]);
        let of = |i: usize| (plan.benchmarks[i].workload.seed, plan.benchmarks[i].workload.num_prompts);
        assert_eq!((of(0), of(3)), ((2, 7), (1, 7)));
        // A dataset on the command line takes the place of the file's workloads.
        let plan = planned(&["--dataset", "random:5:6", "--concurrency", "3"], file, false).unwrap();
        assert_eq!(names(&plan), ["random-5-6/c3"]);
    }

    #[test]
    fn the_change_that_matters_is_the_band() {
        let of = |flags: &[&str], file: &str| {
            let plan = planned(flags, file, false).unwrap();
            let resolve = plan.resolve.map(|resolve| (resolve.change, resolve.budget.as_secs()));
            (resolve, plan.benchmarks[0].workload.terms.noise_threshold)
        };
        assert_eq!(of(&[], ""), (None, 0.01));
        assert_eq!(of(&["--resolve", "3%"], ""), (Some((0.03, 600)), 0.03));
        assert_eq!(
            of(&["--resolve", "0.05", "--time-budget", "90s"], "noise_threshold = 0.02"),
            (Some((0.05, 90)), 0.05)
        );
        assert_eq!(of(&[], "resolve = \"2.5 %\"\ntime_budget = \"5m\""), (Some((0.025, 300)), 0.025));
        assert_eq!(of(&["--time-budget", "1m"], "resolve = 0.04\n[workload.a]"), (Some((0.04, 60)), 0.04));
        // Where nothing is compared, nothing goes on.
        assert_eq!(of(&["--resolve", "3%", "--calibrate"], "").0, None);
    }

    #[test]
    fn objectives_and_goodput_are_of_a_workload() {
        let file = "objective = \"failed < 1 %\"\n[workload.a]\nobjective = [\"mlperf-llama3.1-8b-interactive\", \"rps > 2\"]\n\
                    goodput = \"ttft < 300 ms\"\n[workload.b]\n";
        let plan = planned(&["--concurrency", "1"], file, false).unwrap();
        let of = |i: usize| {
            let WorkloadPlan { objectives, goodput, terms, .. } = &plan.benchmarks[i].workload;
            let objectives: Vec<String> = objectives.iter().map(ToString::to_string).collect();
            let gate: Vec<String> = terms.gate.iter().map(ToString::to_string).collect();
            (objectives, goodput.as_ref().map(ToString::to_string), gate)
        };
        let ours = ["ttft_p99 < 500 ms", "tpot_p99 < 30 ms", "rps > 2"].map(str::to_owned).to_vec();
        // What is said to be good decides.
        let gate = ["output_tokens_per_s", "goodput_rps", "ttft_p50"].map(str::to_owned).to_vec();
        assert_eq!(of(0), (ours, Some("ttft < 300 ms".to_owned()), gate));
        let gate = ["output_tokens_per_s", "ttft_p50"].map(str::to_owned).to_vec();
        assert_eq!(of(1), (vec!["failed < 1 %".to_owned()], None, gate));
        let code = || Workload::default().objective("rps > 3").goodput("e2e < 1 s".parse::<Goodput>().unwrap());
        let mut both = Code::default();
        both.set_defaults(code());
        let plan = planned_with(&[], &both, "", false).unwrap();
        assert_eq!(plan.benchmarks[0].workload.objectives[0].to_string(), "rps > 3");
        assert!(!plan.has_server && planned(&["--server", "embedded"], "", false).unwrap().has_server);
    }

    #[test]
    fn a_test_run_is_tiny_and_embedded_whatever_is_configured() {
        let file = "server = \"h:1\"\nmodel = \"m\"\nconcurrency = [64]\nnum_prompts = 9999\n";
        let plan = planned(&[], file, true).unwrap();
        assert!(matches!(plan.server, ServerSpec::Embedded(_)));
        let Benchmark { name, workload, load, .. } = &plan.benchmarks[0];
        assert_eq!((name.as_str(), load.shape().concurrency(), workload.num_prompts), ("sharegpt/c64", Some(4), 6));
        assert_eq!((workload.sample_size, &workload.dataset, &workload.model), (1, &fixtures::dataset(), &None));
    }

    #[test]
    fn values_that_make_no_sense() {
        let live = |more: &[&'static str]| [&LIVE[..], more].concat();
        let table: &[(Vec<&str>, &str, &str)] = &[
            (vec!["--concurrency", "0"], "", "--concurrency: 0 clients"),
            (vec!["--server", "h:1"], "", "--dataset: a live server needs prompts"),
            (vec!["--server", "h:1"], "", "; and give --tokenizer its tokenizer.json"),
            (vec!["--concurrency", "4,4"], "", "sharegpt/c4 is given twice"),
            (vec!["--num-prompts", "0"], "", "--num-prompts: 0 would measure nothing"),
            (vec!["--top-p", "2"], "", "--top-p: 2 is not between 0 and 1"),
            (vec!["--timeout", "0"], "", "--timeout: 0 is not a number of seconds above 0"),
            (vec!["--timeout", "1e19"], "", "--timeout: 10000000000000000000 seconds are more than 30 days"),
            (vec!["--wait-ready", "3e6"], "", "--wait-ready: 3000000 seconds are more than 30 days"),
            (
                vec!["--request-rate", "1e-12"],
                "",
                "--request-rate: with open loop at 0.000000000001 requests/s, Poisson the last prompt",
            ),
            (vec!["--request-rate", "9", "--arrival", "gamma", "--burstiness", "1e-300"], "", "from 0.001 to 1000000"),
            (vec!["--request-rate", "9", "--arrival", "gamma", "--burstiness", "1e7"], "", "from 0.001 to 1000000"),
            (vec!["--fail-on", "never,regression"], "", "--fail-on: `never` can't be combined with anything else"),
            (vec!["--save-baseline", "calibration.json"], "", "that name is taken by the harness"),
            (vec!["--baseline", "Report"], "", "that name is taken by the harness"),
            (vec![], "[workload.index]", "`workload.index`: that name is taken by the harness"),
            (vec!["--dataset", "random:5"], "", "--dataset: `random:5` is not random:PROMPT_TOKENS:OUTPUT_TOKENS"),
            (vec!["--server", "h:1", "--tokenizer", "t"], "", "--dataset: a live server needs prompts"),
            (vec!["--server", "h:1", "--dataset", "d"], "", "--tokenizer: a live server's prompts"),
            (vec!["--server", "ftp://h", "--dataset", "d", "--tokenizer", "t"], "", "`ftp://h` is not a server URL"),
            (live(&["--header", "no colon"]), "", "--header: write a header as"),
            (live(&["--api-key-env", "NO_SUCH_VARIABLE_HERE"]), "", "the variable NO_SUCH_VARIABLE_HERE is not set"),
            (vec!["--time-budget", "5m"], "", "--time-budget: it is how long --resolve may take"),
            (vec!["--resolve", "3%", "--time-budget", "5"], "", "time unit needed"),
            (vec!["--resolve", "0"], "", "--resolve: no number of passes shows that nothing has changed"),
            (vec!["--resolve", "100%"], "", "`100%` is not a share: write 3% or 0.03"),
            (vec!["--resolve", "3x"], "", "`3x` is not a share"),
            (vec![], "resolve = true", "neither a share such as 0.03 nor a string such as"),
            (vec![], "resolve = 0.03\ntime_budget = \"soon\"", "`soon`: "),
            (
                live(&["--instances", "2"]),
                "",
                "--instances: passes can only be spread over processes of a server that the run starts",
            ),
            (vec!["--instances", "2"], "", "--instances: passes can only be spread"),
            (live(&["--gpus", "0"]), "", "--gpus: leave it out for a server without GPUs"),
            (live(&["--instances", "0"]), "", "--instances: 0 processes would measure nothing"),
            (vec!["--concurency", "3"], "", "--concurrency"),
            (vec!["--api", "grpc"], "", "use chat, completions, responses,"),
            (vec!["--extra-body", "[1]"], "", "not a JSON object"),
            (vec!["--engine", "instance_num=0"], "", "0 is not in 1.."),
            (vec!["--objective", "ttft_p99 < 300"], "", "--objective: `ttft_p99 < 300`: `300` has no unit"),
            (live(&["--objective", "ttft_p99 < 300 ms"]), "", "ttft_p99 is only measured with --stream true"),
            (live(&["--objective", "mlperf-llama2-70b-server"]), "", "ttft_p99 is only measured with --stream true"),
            (vec!["--objective", "rps > 2,rps > 2"], "", "--objective: rps > 2 is given twice"),
            (vec!["--objective", "good_share > 99 %"], "", "good_share is only measured if --goodput says which"),
            (vec![], "objective = \"fast\"", "line 1: objective: `fast` is not an objective: write one like"),
            (vec!["--goodput", "ttft < 1"], "", "`ttft < 1`: `1` has no unit: write it as in 300 ms or 2 s"),
            (live(&["--goodput", "e2e < 1 s, tpot < 9 ms"]), "", "--goodput: tpot is only measured with --stream true"),
            (vec!["--find-max", "load"], "", "`load` is neither rate nor concurrency"),
            (
                vec!["--find-max", "rate"],
                "",
                "--find-max: it finds the highest load that meets the objectives: give some",
            ),
            (vec!["--precision", "2%"], "", "--precision: it only applies to --find-max"),
            (
                vec!["--find-max", "rate", "--precision", "0", "--objective", "rps > 1"],
                "",
                "--precision: 0 is finer than any search gets",
            ),
            (live(&["--shard", "0/2"]), "", "--rendezvous: shards need a place to meet"),
            (live(&["--shard", "2/2"]), "", "--shard: there is no shard 2 of 2: ranks go from 0 to 1"),
            (
                live(&["--shard", "0/2", "--rendezvous", "h:1"]),
                "",
                "set TACHOMETER_RENDEZVOUS_TOKEN in their environment",
            ),
            (live(&["--shard", "0/2", "--rendezvous", ":1"]), "", "--rendezvous: `:1` needs a host and a port"),
            (
                live(&["--shard", "0/9", "--rendezvous", "d", "--concurrency", "64,4"]),
                "",
                "sharegpt/c4 has 4 at once for 9",
            ),
            (live(&["--shard", "0/9", "--rendezvous", "d", "--concurrency", "sweep:1..16"]), "", "has 1 at once for 9"),
            (live(&["--rendezvous", "d"]), "", "--rendezvous: it needs --shard auto, or --shard RANK/SHARDS"),
            (live(&["--shards", "4"]), "", "--shards: it needs --shard"),
            (vec!["--shard", "0/2", "--rendezvous", "d"], "", "--shard: shards measure a server that is running"),
            (
                live(&["--shard", "0/2", "--rendezvous", "d", "--shard-timeout", "0"]),
                "",
                "--shard-timeout: 0 is not a number",
            ),
            (vec!["--gate", "good_share"], "", "--gate: good_share is only measured if --goodput says which"),
            (vec![], "confidence_level = 2", "line 1: confidence_level: 2 is not between 0 and 1"),
        ];
        for (flags, file, expected) in table {
            let message = planned(flags, file, false).err().unwrap_or_default();
            assert!(message.contains(expected), "{flags:?} {file:?}: {message:?}");
        }
        let message = planned(&live(&["--server", "http://me:hidden@h:1"])[2..], "", false).unwrap_err();
        assert!(!message.contains("hidden"), "{message}");
    }

    /// A load that a layer names stands in place of what the layers below it name, of either kind.
    #[test]
    fn loads_replace_one_another() {
        let file = "concurrency = [1, 2]\n[workload.a]\n[workload.b]\nrequest_rate = 5\n";
        let table: &[(&[&str], &[&str])] = &[
            (&[], &["a/c1", "a/c2", "b/r5"]),
            (&["--request-rate", "9"], &["a/r9", "b/r9"]),
            (&["--concurrency", "3"], &["a/c3", "b/c3"]),
            (&["--concurrency", "3", "--request-rate", "9"], &["a/c3", "a/r9", "b/c3", "b/r9"]),
            (&["--load", "c3,r9"], &["a/c3", "a/r9", "b/c3", "b/r9"]),
        ];
        for (flags, expected) in table {
            assert_eq!(names(&planned(flags, file, false).unwrap()), *expected, "{flags:?}");
        }
    }

    /// Code comes after flags and before the file, whose workloads of the same name give what code leaves open.
    #[test]
    fn code_stands_between_flags_and_the_file() {
        let mut code = Code::default().confidence_level(0.9);
        code.set_defaults(Workload::default().num_prompts(11).seed(5));
        code.add_workload(Workload::new("a").dataset("random:5:6").concurrency([2]).model("m"));
        let file =
            "seed = 1\nconfidence_level = 0.8\n[workload.a]\nseed = 2\nconcurrency = 9\ntop_p = 0.5\n[workload.b]\n";
        let plan = planned_with(&["--num-prompts", "7"], &code, file, false).unwrap();
        assert_eq!(names(&plan), ["a/c2", "b/c8", "b/c64"]);
        assert_eq!(plan.confidence_level, 0.9);
        let [a, b] = [0, 1].map(|i| &plan.benchmarks[i].workload);
        assert_eq!((a.num_prompts, a.seed, a.sampling.top_p, a.model.as_deref()), (7, 2, 0.5, Some("m")));
        assert_eq!((a.dataset.to_string().as_str(), b.seed, b.num_prompts), ("random:5:6", 5, 7));
        let mut code = Code::default();
        code.add_workload(Workload::new("a/b"));
        let message = planned_with(&[], &code, "", false).unwrap_err();
        assert_eq!(
            message,
            "Workload::new: `workload.a/b`: a name is made of letters, digits, `-`, `_` and `.`, and does not begin with `.`"
        );
        code = Code::default();
        code.set_server(crate::config::Server::url("http://h:1").timeout(5.0));
        assert!(planned_with(&[], &code, "", false).unwrap_err().starts_with("--dataset: a live server"));
    }

    #[test]
    fn sweeps_and_times_are_said_in_code_too() {
        let mut code = Code::default();
        let a = Workload::new("a").dataset("random:5:6").concurrency(SweepRange::between(1.0, 8.0).points(3));
        code.add_workload(a.request_rate([RequestRate(2.0)]).duration(Duration::from_secs(3)).warmup(5));
        code.add_workload(Workload::new("b").request_rate(SweepRange::of(4)).warmup(Duration::from_secs(1)));
        let plan = planned_with(&[], &code, "", false).unwrap();
        assert_eq!(names(&plan), ["a/sweep-concurrency", "a/r2", "b/sweep-rate"]);
        assert_eq!(plan.benchmarks.iter().map(Benchmark::parts).collect::<Vec<_>>(), [3, 1, 4]);
        let [clients, rate, rates] = [0, 1, 2].map(|i| &plan.benchmarks[i].workload);
        // Loads of a sweep have prompts of their own; a load beside it is as ever.
        assert_eq!([clients, rate, rates].map(|workload| workload.fresh_prompts), [true, false, true]);
        assert_eq!((rate.duration, rate.warmup), (Some(Duration::from_secs(3)), Some(Warmup::Requests(5))));
        assert_eq!((rates.duration, rates.warmup), (None, Some(Warmup::Time(Duration::from_secs(1)))));
        let flags = ["--concurrency", "4", "--warmup", "2s"];
        assert_eq!(names(&planned_with(&flags, &code, "", false).unwrap()), ["a/c4", "b/c4"]);
        // A test run has one small pass of each.
        let tiny = planned_with(&[], &code, "", true).unwrap();
        assert!(
            tiny.benchmarks.iter().all(|benchmark| benchmark.sweep.is_none() && benchmark.workload.duration.is_none())
        );
        assert_eq!(names(&tiny), names(&plan));
        let doublings = planned(&["--concurrency", "sweep:1..9"], "", false).unwrap();
        assert_eq!(doublings.benchmarks[0].parts(), 5);
    }

    #[test]
    fn prompts_of_ones_own_are_all_sent() {
        let mut code = Code::default();
        code.add_workload(Workload::from_prompts("mine", ["a", "b", "c"]).max_tokens(5).concurrency([1]));
        let plan = planned_with(&[], &code, "", false).unwrap();
        assert_eq!(names(&plan), ["mine/c1"]);
        let WorkloadPlan { num_prompts, dataset, .. } = &plan.benchmarks[0].workload;
        assert_eq!((*num_prompts, dataset.to_string()), (3, "mine".to_owned()));
    }

    #[test]
    fn the_engine_can_be_named_and_workloads_keep_their_order() {
        let file = "server = \"h:1\"\n[workload.b]\nconcurrency = 1\n[workload.a]\nconcurrency = 1\n";
        let plan = planned(&["--server", "embedded"], file, false).unwrap();
        assert!(matches!(plan.server, ServerSpec::Embedded(_)));
        assert_eq!(names(&plan), ["b/c1", "a/c1"]);
    }
}
