//! Which benchmarks a run has: each workload, at each of its loads.

use super::{
    Arguments, Code, ConfigError, ConfigFile, Settings, Workload, WorkloadPlan,
    file::check_name,
    load::{FindMax, find_max, load_points, sweeps},
    server::is_live,
    settings::Values,
    sweep::Sweep,
    workload::workload,
};
use crate::{
    dataset::Dataset,
    load::{LoadPoint, Searched},
};

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

    /// How many requests there are at once, at most, where that is limited.
    pub(super) fn at_once(&self) -> Option<usize> {
        let shape = self.load.shape();
        match (&self.find_max, &self.sweep) {
            // It begins with as many as there are shards.
            (Some(_), _) => None,
            (None, Some(sweep)) => {
                sweep.range.ends.filter(|_| sweep.swept == Searched::Concurrency).map(|(low, _)| low as usize)
            }
            (None, None) => [shape.concurrency(), shape.max_in_flight()].into_iter().flatten().min(),
        }
    }

    /// The flag that names its load.
    fn flag(&self) -> &'static str {
        let shape = self.load.shape();
        let is_of_clients = match self.sweep {
            Some(sweep) => sweep.swept == Searched::Concurrency,
            None => shape.concurrency().is_some(),
        };
        match is_of_clients {
            true => "--concurrency",
            false if shape.is_recorded() => "--load",
            false => "--request-rate",
        }
    }
}

/// All benchmarks, in the order in which they run, no two of a name. `top` holds the settings of the whole run.
pub(super) fn benchmarks(
    arguments: &Arguments,
    code: &Code,
    file: &ConfigFile,
    top: &Settings,
    tiny: bool,
) -> Result<Vec<Benchmark>, ConfigError> {
    let live = top.server.as_deref().is_some_and(is_live);
    let mut benchmarks: Vec<Benchmark> = Vec::new();
    for Layered { name, settings, prompts } in workloads(arguments, code, file, top)? {
        let values = settings.values(live);
        let dataset = values.dataset.as_deref().map(dataset).transpose()?.or(prompts);
        let has_times = dataset.as_ref().is_some_and(Dataset::has_times);
        let workload = workload(name, dataset, &values, live, tiny)?;
        let of = |name: String, load| Benchmark {
            name: format!("{}/{name}", workload.name),
            workload: workload.clone(),
            load,
            find_max: None,
            sweep: None,
            point_of: None,
        };
        if let Some(find) = find_max(&values, &workload.objectives)?.filter(|_| !tiny) {
            check_search(&values, top)?;
            // Where it begins, for what looks at prompts alone.
            let begins = of(format!("max-{}", find.searched), LoadPoint::closed(1));
            benchmarks.push(Benchmark { find_max: Some(find), ..begins });
            continue;
        }
        for sweep in sweeps(&values)? {
            if sweep.range.ends.is_none() && arguments.load_baseline.is_some() {
                let why = "this sweep finds its loads by measuring: give it a range, as in sweep:1..64";
                return Err(ConfigError::value("--load-baseline", why));
            }
            let mut all = of(format!("sweep-{}", sweep.swept), LoadPoint::closed(1));
            // No load finds another's prompts in the server's cache.
            all.workload.fresh_prompts = !tiny;
            benchmarks.push(Benchmark { sweep: Some(sweep).filter(|_| !tiny), ..all });
        }
        for load in load_points(&values, live, has_times)? {
            benchmarks.push(of(load.shape().name(), if tiny { load.tiny() } else { load }));
        }
    }
    for (i, benchmark) in benchmarks.iter().enumerate() {
        if benchmarks[..i].iter().any(|other| other.name == benchmark.name) {
            return Err(ConfigError::value(benchmark.flag(), format!("{} is given twice", benchmark.name)));
        }
    }
    Ok(benchmarks)
}

/// A workload, with all that is said of it.
struct Layered {
    /// Empty for the one that has no name of its own.
    name: String,
    settings: Settings,
    /// Prompts that code has given.
    prompts: Option<Dataset>,
}

/// Those of code, then those of the file that code has not; without any, what the run's own settings say. A dataset given by flag or variable
/// stands for one workload, in place of them all.
fn workloads(
    arguments: &Arguments,
    code: &Code,
    file: &ConfigFile,
    top: &Settings,
) -> Result<Vec<Layered>, ConfigError> {
    let mut named = Vec::new();
    if arguments.settings.dataset.is_none() {
        let layers = |settings: &Settings| arguments.settings.clone().over(settings);
        for Workload { name, settings, prompts } in &code.workloads {
            check_name(name).map_err(|why| ConfigError::value("Workload::new", why))?;
            let of_file = file.workloads.iter().find(|(other, _)| other == name);
            let of_file = of_file.map(|(_, settings)| settings.clone()).unwrap_or_default();
            let settings = layers(settings).over(&of_file).over(&code.settings).over(&file.settings);
            named.push(Layered { name: name.clone(), settings, prompts: prompts.clone() });
        }
        let of_file = file.workloads.iter().filter(|(name, _)| code.workloads.iter().all(|other| other.name != *name));
        named.extend(of_file.map(|(name, settings)| Layered {
            name: name.clone(),
            settings: layers(settings).over(&code.settings).over(&file.settings),
            prompts: None,
        }));
    }
    if named.is_empty() {
        named.push(Layered { name: String::new(), settings: top.clone(), prompts: None });
    }
    Ok(named)
}

fn dataset(text: &str) -> Result<Dataset, ConfigError> {
    text.parse().map_err(|why: String| ConfigError::value("--dataset", why))
}

/// What a search can't have beside it.
fn check_search(values: &Values, top: &Settings) -> Result<(), ConfigError> {
    let names_recorded = values.load.iter().flatten().any(|load| load.starts_with("recorded"));
    if values.time_scale.is_some() || values.spread || names_recorded {
        let why = "it chooses its own loads: leave out --time-scale, --spread and --load recorded";
        return Err(ConfigError::value("--find-max", why));
    }
    if top.against.is_some() {
        return Err(ConfigError::value("--find-max", "it measures one server: leave out --against"));
    }
    Ok(())
}
