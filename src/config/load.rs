//! The load points of a workload.

use super::{ConfigError, seconds::LONGEST_S, settings::Values};
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

/// One for each concurrency, each request rate and each other load that was asked for. Without any, the default concurrencies.
pub(super) fn load_points(values: &Values, live: bool) -> Result<Vec<LoadPoint>, ConfigError> {
    let rates = values.request_rate.as_deref().unwrap_or_default();
    let others = values.load.as_deref().unwrap_or_default();
    let default: &[usize] = match (rates.is_empty() && others.is_empty(), live) {
        (false, _) => &[],
        (true, true) => &[64],
        (true, false) => &[8, 64],
    };
    let concurrencies = values.concurrency.as_deref().unwrap_or(default);
    if concurrencies.is_empty() && rates.is_empty() && others.is_empty() {
        return Err(ConfigError::value("--concurrency", "the list is empty"));
    }
    if concurrencies.contains(&0) {
        return Err(ConfigError::value("--concurrency", "0 clients would send nothing: use 1 or more"));
    }
    let pacing = pacing(values)?;
    let Pacing { arrival, burstiness, max_in_flight } = pacing;
    let closed = concurrencies.iter().map(|&concurrency| LoadPoint::closed(concurrency));
    let open = rates.iter().map(|&request_rate| Open { request_rate, arrival, burstiness, max_in_flight });
    let mut points: Vec<(&str, LoadPoint)> = closed.map(|point| ("--concurrency", point)).collect();
    points.extend(open.map(|shape| ("--request-rate", LoadPoint::new(shape))));
    for text in others {
        let point = LoadPoint::parse(text, &pacing).map_err(|why| ConfigError::value("--load", why))?;
        points.push(("--load", point));
    }
    // In a schedule that takes longer nothing would ever be sent.
    if let Some((flag, point)) = points.iter().find(|(_, point)| point.shape().lasts_s(values.num_prompts) > LONGEST_S)
    {
        let why = format!("with {point} the last prompt would be sent after more than 30 days");
        return Err(ConfigError::value(flag, why));
    }
    Ok(points.into_iter().map(|(_, point)| point).collect())
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
    Ok(Pacing { arrival, burstiness, max_in_flight: values.max_in_flight })
}

/// What to search for in place of load points, if that was asked for, of a workload with these objectives.
pub(super) fn find_max(values: &Values, objectives: &[Objective]) -> Result<Option<FindMax>, ConfigError> {
    let Some(searched) = values.find_max else {
        return match values.precision {
            Some(_) => Err(ConfigError::value("--precision", "it is that of --find-max: say what is searched for")),
            None => Ok(None),
        };
    };
    if objectives.is_empty() {
        let why = "it is of the most load that holds the objectives: say which, as in --objective 'ttft_p95 < 300 ms'";
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
