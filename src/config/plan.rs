//! From layers of settings to benchmarks.

use std::{path::PathBuf, time::Duration};

use super::{
    Arguments, Benchmark, Code, ConfigError, ConfigFile, FailOn,
    benchmarks::benchmarks,
    seconds::seconds,
    server::{MetricsPage, Named, ServerSpec, against, gpu_metrics, is_live, metrics_page, scrapes, server},
    servers::NamedServers,
    settings::{Setting, Turns, Values},
    shards::{Parts, shards},
    terms::{Resolve, fail_on, level, resolve},
};
use crate::{
    metrics::Scrape,
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

    let benchmarks = benchmarks(arguments, code, file, &top, tiny)?;
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
    let at_once = benchmarks.iter().filter_map(|b| Some((b.name.as_str(), b.at_once()?))).collect();
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

fn client_threads(top: &Values) -> Result<usize, ConfigError> {
    match top.client_threads {
        Some(0) => Err(ConfigError::value("--client-threads", "0 threads would send nothing: use 1 or more")),
        Some(n) => Ok(n),
        // One core is left to the server, which may be on this machine, and embedded ones are.
        None => Ok(std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Warmup, Workload, WorkloadPlan, sweep::SweepRange},
        *,
    };
    use crate::{fixtures, load::RequestRate, metrics::Goodput};

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
