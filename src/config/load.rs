//! The load points of a workload.

use super::{ConfigError, server::LONGEST_S, settings::Values};
use crate::load::{Arrival, LoadPoint};

/// Shapes beyond these give gaps that a computer's numbers can't hold: all requests would be sent at once.
const LEAST_BURSTINESS: f64 = 0.001;
const MOST_BURSTINESS: f64 = 1e6;

/// One for each concurrency and each request rate that was asked for. Without either, the default concurrencies.
pub(super) fn load_points(values: &Values, live: bool) -> Result<Vec<LoadPoint>, ConfigError> {
    let rates = values.request_rate.as_deref().unwrap_or_default();
    let default: &[usize] = match (rates.is_empty(), live) {
        (false, _) => &[],
        (true, true) => &[64],
        (true, false) => &[8, 64],
    };
    let concurrencies = values.concurrency.as_deref().unwrap_or(default);
    if concurrencies.is_empty() && rates.is_empty() {
        return Err(ConfigError::value("--concurrency", "the list is empty"));
    }
    if concurrencies.contains(&0) {
        return Err(ConfigError::value("--concurrency", "0 clients would send nothing: use 1 or more"));
    }
    if values.max_in_flight == Some(0) {
        return Err(ConfigError::value("--max-in-flight", "0 would send nothing: use 1 or more"));
    }
    let arrival = values.arrival;
    let burstiness = values.burstiness.unwrap_or(1.0);
    if !(LEAST_BURSTINESS..=MOST_BURSTINESS).contains(&burstiness) {
        let why = format!("{burstiness} is not a number from {LEAST_BURSTINESS} to {MOST_BURSTINESS}");
        return Err(ConfigError::value("--burstiness", why));
    }
    // In a schedule that takes longer nothing would ever be sent.
    let gaps = values.num_prompts.saturating_sub(1) as f64;
    if let Some(rate) = rates.iter().find(|rate| gaps / rate.0 > LONGEST_S) {
        let why = format!("at {rate} requests per second the last prompt would be sent after more than 30 days");
        return Err(ConfigError::value("--request-rate", why));
    }
    if values.burstiness.is_some() && arrival != Arrival::Gamma {
        return Err(ConfigError::value("--burstiness", "only --arrival gamma has one"));
    }
    let closed = concurrencies.iter().map(|&concurrency| LoadPoint::Closed { concurrency });
    let open = rates.iter().map(|&request_rate| LoadPoint::Open {
        request_rate,
        arrival,
        burstiness,
        max_in_flight: values.max_in_flight,
    });
    Ok(closed.chain(open).collect())
}
