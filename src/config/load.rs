//! The load points of a workload.

use std::time::Duration;

use super::{
    ConfigError,
    seconds::{LONGEST_S, seconds},
    settings::Values,
    sweep::{Loads, MOST_CLIENTS, Sweep, SweepRange},
};
use crate::{
    load::{Arrival, LoadPoint, Open, Pacing, Searched},
    metrics::Objective,
};

/// Shapes beyond these give gaps that a computer's numbers can't hold: all requests would be sent at once.
const LEAST_BURSTINESS: f64 = 0.001;
const MOST_BURSTINESS: f64 = 1e6;

/// The most load that holds the objectives is to be found.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FindMax {
    /// Of what.
    pub searched: Searched,
    /// How far apart the ends may be, as a share.
    pub precision: f64,
    /// What the loads of an open loop have in common.
    pub pacing: Pacing,
}

/// One for each concurrency, each request rate and each other load that was asked for, but for sweeps. Without any, the recorded times of
/// a dataset that has such, or the default concurrencies.
pub(super) fn load_points(values: &Values, live: bool, has_times: bool) -> Result<Vec<LoadPoint>, ConfigError> {
    let rates = values.request_rate.as_deref().unwrap_or_default();
    let others = values.load.as_deref().unwrap_or_default();
    let names_none = values.concurrency.is_none() && rates.is_empty() && others.is_empty();
    let default: &[Loads<usize>] = match (names_none && !has_times, live) {
        (false, _) => &[],
        (true, true) => &[Loads::One(64)],
        (true, false) => &[Loads::One(8), Loads::One(64)],
    };
    let concurrencies = values.concurrency.as_deref().unwrap_or(default);
    if concurrencies.is_empty() && rates.is_empty() && others.is_empty() && !(names_none && has_times) {
        return Err(ConfigError::value("--concurrency", "the list is empty"));
    }
    if concurrencies.contains(&Loads::One(0)) {
        return Err(ConfigError::value("--concurrency", "0 clients would send nothing: use 1 or more"));
    }
    let pacing = pacing(values)?;
    let Pacing { arrival, burstiness, max_in_flight, .. } = pacing;
    let closed = concurrencies.iter().filter_map(Loads::one).map(|&concurrency| LoadPoint::closed(concurrency));
    let rates = rates.iter().filter_map(Loads::one);
    let open = rates.map(|&request_rate| Open { request_rate, arrival, burstiness, max_in_flight });
    let mut points: Vec<(&str, LoadPoint)> = closed.map(|point| ("--concurrency", point)).collect();
    points.extend(open.map(|shape| ("--request-rate", LoadPoint::new(shape))));
    for text in others {
        let point = LoadPoint::parse(text, &pacing).map_err(|why| ConfigError::value("--load", why))?;
        points.push(("--load", point));
    }
    if names_none && has_times {
        points.push(("--dataset", LoadPoint::recorded(&pacing)));
    }
    let sends_recorded = points.iter().any(|(_, point)| point.shape().is_recorded());
    if sends_recorded && !has_times {
        return Err(ConfigError::value(
            "--load",
            "recorded times come from a trace: give one with --dataset trace:FILE",
        ));
    }
    for flag in [values.time_scale.map(|_| "--time-scale"), values.spread.then_some("--spread")].into_iter().flatten() {
        if !sends_recorded {
            let why = "it only applies to recorded times: use --dataset trace:FILE and no other load";
            return Err(ConfigError::value(flag, why));
        }
    }
    for (flag, point) in &points {
        can_be_sent(point, values).map_err(|why| ConfigError::value(flag, why))?;
    }
    Ok(points.into_iter().map(|(_, point)| point).collect())
}

/// Whether a pass at a load comes to an end, and what it sends fits into memory.
fn can_be_sent(point: &LoadPoint, values: &Values) -> Result<(), String> {
    let shape = point.shape();
    match values.duration.map(|time| shape.requests_in(time.as_secs_f64())) {
        // In a schedule that takes longer nothing would ever be sent.
        None if shape.lasts_s(values.num_prompts) > LONGEST_S => {
            Err(format!("with {point} the last prompt would be sent after more than 30 days"))
        }
        Some(_) if shape.is_recorded() => {
            Err("recorded times already set the length of a pass: select part of them with --trace-window".to_owned())
        }
        Some(Some(_)) if shape.request_rate().is_some_and(|rate| rate.0.is_infinite()) => {
            Err("all requests at once take no time: leave out --duration, or give a rate".to_owned())
        }
        Some(Some(requests)) if requests > MOST_REQUESTS => {
            Err(format!("with {point} a pass would send {requests} requests: use a shorter --duration"))
        }
        _ => Ok(()),
    }
}

/// Of a pass: the times of an open loop's requests are computed before it.
const MOST_REQUESTS: usize = 100_000_000;

/// How long a pass goes on, where it does not send each prompt once.
pub(super) fn duration(values: &Values) -> Result<Option<Duration>, ConfigError> {
    let Some(duration) = values.duration else { return Ok(None) };
    if values.cache_bust {
        let why = "prompts repeat, and --cache-bust draws its text once per prompt: leave out one of the two";
        return Err(ConfigError::value("--duration", why));
    }
    seconds("--duration", duration.as_secs_f64()).map(Some)
}

/// What open loops take from other settings.
pub(super) fn pacing(values: &Values) -> Result<Pacing, ConfigError> {
    if values.max_in_flight == Some(0) {
        return Err(ConfigError::value("--max-in-flight", "0 would send nothing: use 1 or more"));
    }
    let arrival = values.arrival;
    let burstiness = values.burstiness.unwrap_or(1.0);
    if !(LEAST_BURSTINESS..=MOST_BURSTINESS).contains(&burstiness) {
        let why = format!("{burstiness} is not a number from {LEAST_BURSTINESS} to {MOST_BURSTINESS}");
        return Err(ConfigError::value("--burstiness", why));
    }
    if values.burstiness.is_some() && arrival != Arrival::Gamma {
        return Err(ConfigError::value("--burstiness", "only --arrival gamma has one"));
    }
    let time_scale = values.time_scale.unwrap_or(1.0);
    if !(time_scale > 0.0 && time_scale.is_finite()) {
        return Err(ConfigError::value("--time-scale", format!("{time_scale} is no factor above 0")));
    }
    Ok(Pacing { arrival, burstiness, max_in_flight: values.max_in_flight, time_scale, spread: values.spread })
}

/// The sweeps that were asked for.
pub(super) fn sweeps(values: &Values) -> Result<Vec<Sweep>, ConfigError> {
    let of_both = "it has both loads and a sweep, which chooses its own loads: use one or the other";
    if is_of_both(values.concurrency.as_deref()) {
        return Err(ConfigError::value("--concurrency", of_both));
    }
    if is_of_both(values.request_rate.as_deref()) {
        return Err(ConfigError::value("--request-rate", of_both));
    }
    let clients = values.concurrency.iter().flatten().filter_map(Loads::range);
    let rates = values.request_rate.iter().flatten().filter_map(Loads::range);
    let all = clients.map(|range| (Searched::Concurrency, range)).chain(rates.map(|range| (Searched::Rate, range)));
    let pacing = pacing(values)?;
    let checked = |(swept, range): (Searched, SweepRange)| {
        let range = range.check().map_err(|why| ConfigError::value(swept.flag(), why))?;
        let ends = range.ends.unwrap_or((1.0, 1.0));
        if swept == Searched::Concurrency && (ends.0 < 1.0 || ends.1 > MOST_CLIENTS) {
            let why = format!("`{range}`: the clients of a sweep are from 1 to {MOST_CLIENTS}");
            return Err(ConfigError::value(swept.flag(), why));
        }
        for end in [ends.0, ends.1].into_iter().filter(|_| range.ends.is_some()) {
            can_be_sent(&swept.at(end, &pacing), values).map_err(|why| ConfigError::value(swept.flag(), why))?;
        }
        Ok(Sweep { swept, range, pacing })
    };
    all.map(checked).collect()
}

fn is_of_both<T>(loads: Option<&[Loads<T>]>) -> bool {
    let sweeps = loads.unwrap_or_default().iter().filter_map(Loads::range).count();
    sweeps > 0 && sweeps < loads.map_or(0, <[_]>::len)
}

/// What to search for in place of load points, if that was asked for, of a workload with these objectives.
pub(super) fn find_max(values: &Values, objectives: &[Objective]) -> Result<Option<FindMax>, ConfigError> {
    let Some(searched) = values.find_max else {
        return match values.precision {
            Some(_) => Err(ConfigError::value("--precision", "it only applies to --find-max: say what to search for")),
            None => Ok(None),
        };
    };
    if objectives.is_empty() {
        let why =
            "it finds the highest load that meets the objectives: give some, as in --objective 'ttft_p95 < 300 ms'";
        return Err(ConfigError::value("--find-max", why));
    }
    let precision = values.precision.unwrap_or(PRECISION);
    if precision < LEAST_PRECISION {
        let why = format!("{precision} is finer than any search gets: use {LEAST_PRECISION} or more");
        return Err(ConfigError::value("--precision", why));
    }
    Ok(Some(FindMax { searched, precision, pacing: pacing(values)? }))
}

const PRECISION: f64 = 0.05;
const LEAST_PRECISION: f64 = 0.001;
