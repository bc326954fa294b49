//! What comparisons go by, and what fails the run.

use std::time::Duration;

use super::{
    ConfigError,
    settings::{FailOn, Values},
};
use crate::{
    compare::Terms,
    metrics::{Goodput, Metric, Objective, Subject},
};

/// Passes go on until they are enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolve {
    /// The change that matters, as a share.
    pub change: f64,
    /// How long the passes of all benchmarks may take.
    pub budget: Duration,
}

/// What a comparison of a workload's runs goes by.
pub(super) fn terms(values: &Values) -> Result<Terms, ConfigError> {
    let noise_threshold = values.resolve.or(values.noise_threshold).unwrap_or(0.01);
    if !(0.0..1.0).contains(&noise_threshold) {
        let why = format!("{noise_threshold} is not a share from 0 to less than 1: 1 % is 0.01");
        return Err(ConfigError::value("--noise-threshold", why));
    }
    // Without streaming there is no first token to be late.
    let streams = values.stream && values.api.generates();
    let default: &[&str] = match (values.api.generates(), streams) {
        (false, _) => &["rpm", "e2e_p50"],
        (true, true) => &["output_tokens_per_s", "ttft_p50"],
        (true, false) => &["output_tokens_per_s"],
    };
    let is_default = |metric: &Metric| {
        let name = metric.to_string();
        default.contains(&name.as_str()) || name == "goodput_rps" && values.goodput.is_some()
    };
    if let Some(why) = values.gate.iter().flatten().find_map(|metric| unmeasurable(*metric, values)) {
        return Err(ConfigError::value("--gate", why));
    }
    if let Some(latency) = values.goodput.as_ref().and_then(Goodput::of_streams).filter(|_| !streams) {
        let why = format!("{latency} is only measured with --stream true");
        return Err(ConfigError::value("--goodput", why));
    }
    Ok(Terms {
        noise_threshold,
        significance_level: level("--significance-level", values.significance_level)?,
        confidence_level: level("--confidence-level", values.confidence_level)?,
        gate: values.gate.clone().unwrap_or_else(|| Metric::all().filter(is_default).collect()),
    })
}

/// Why a metric is not measured, whatever the server does.
fn unmeasurable(metric: Metric, values: &Values) -> Option<String> {
    let quantity = metric.quantity();
    let of_tokens = ["ttft", "ttfo", "tpot", "itl"].contains(&quantity.name);
    match () {
        () if of_tokens && !(values.stream && values.api.generates()) => {
            Some(format!("{metric} is only measured with --stream true"))
        }
        () if quantity.is_of_goodput() && values.goodput.is_none() => {
            Some(format!("{metric} is only measured if --goodput says which requests are good"))
        }
        () => None,
    }
}

/// The objectives of a workload.
pub(super) fn objectives(values: &Values) -> Result<Vec<Objective>, ConfigError> {
    let error = |why: String| ConfigError::value("--objective", why);
    let mut objectives: Vec<Objective> = Vec::new();
    for objective in values.objective.iter().flatten() {
        for objective in Objective::parse(objective).map_err(error)? {
            if objectives.contains(&objective) {
                return Err(error(format!("{objective} is given twice")));
            }
            if let Subject::Metric(metric) = objective.subject
                && let Some(why) = unmeasurable(metric, values)
            {
                return Err(error(why));
            }
            objectives.push(objective);
        }
    }
    Ok(objectives)
}

/// What makes the run fail.
pub(super) fn fail_on(top: &Values) -> Result<Vec<FailOn>, ConfigError> {
    let mut all = top.fail_on.clone().unwrap_or_default();
    if all.contains(&FailOn::Never) && all.iter().any(|what| *what != FailOn::Never) {
        return Err(ConfigError::value("--fail-on", "`never` can't be combined with anything else"));
    }
    all.retain(|what| *what != FailOn::Never);
    Ok(all)
}

/// What passes go on for, and how long they may; `None` for a number that is fixed.
pub(super) fn resolve(top: &Values) -> Result<Option<Resolve>, ConfigError> {
    match (top.resolve, top.time_budget) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let why = "it is how long --resolve may take: say which change matters, as in --resolve 3%";
            Err(ConfigError::value("--time-budget", why))
        }
        (Some(0.0), _) => {
            Err(ConfigError::value("--resolve", "no number of passes shows that nothing has changed: use 1% or 3%"))
        }
        (Some(change), budget) => Ok(Some(Resolve { change, budget: budget.unwrap_or(BUDGET) })),
    }
}

const BUDGET: Duration = Duration::from_secs(600);

/// A share between 0 and 1.
pub(super) fn level(flag: &str, value: f64) -> Result<f64, ConfigError> {
    if value > 0.0 && value < 1.0 {
        return Ok(value);
    }
    Err(ConfigError::value(flag, format!("{value} is not between 0 and 1")))
}
