//! The load points of a workload.

use super::{ConfigError, Settings};
use crate::load::{Arrival, LoadPoint};

/// One for each concurrency and each request rate that was asked for. Without either, the default concurrencies.
pub(super) fn load_points(settings: &Settings, live: bool) -> Result<Vec<LoadPoint>, ConfigError> {
    let rates = settings.request_rate.as_deref().unwrap_or_default();
    let default: &[usize] = match (rates.is_empty(), live) {
        (false, _) => &[],
        (true, true) => &[64],
        (true, false) => &[8, 64],
    };
    let concurrencies = settings.concurrency.as_deref().unwrap_or(default);
    if concurrencies.is_empty() && rates.is_empty() {
        return Err(ConfigError::value("--concurrency", "the list is empty"));
    }
    if concurrencies.contains(&0) {
        return Err(ConfigError::value("--concurrency", "0 clients would send nothing: use 1 or more"));
    }
    if settings.max_in_flight == Some(0) {
        return Err(ConfigError::value("--max-in-flight", "0 would send nothing: use 1 or more"));
    }
    let arrival = settings.arrival.unwrap_or_default();
    let burstiness = settings.burstiness.unwrap_or(1.0);
    if !(burstiness > 0.0 && burstiness.is_finite()) {
        return Err(ConfigError::value("--burstiness", format!("{burstiness} is not a number above 0")));
    }
    if settings.burstiness.is_some() && arrival != Arrival::Gamma {
        return Err(ConfigError::value("--burstiness", "only --arrival gamma has one"));
    }
    let closed = concurrencies.iter().map(|&concurrency| LoadPoint::Closed { concurrency });
    let open = rates.iter().map(|&request_rate| LoadPoint::Open {
        request_rate,
        arrival,
        burstiness,
        max_in_flight: settings.max_in_flight,
    });
    Ok(closed.chain(open).collect())
}
