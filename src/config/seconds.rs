//! Times, in seconds.

use std::time::Duration;

use super::ConfigError;

/// The longest time that anything may take, in seconds: 30 days.
pub(super) const LONGEST_S: f64 = 30.0 * 24.0 * 3600.0;

/// A positive number of seconds.
pub(super) fn seconds(flag: &str, value: f64) -> Result<Duration, ConfigError> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() && value <= LONGEST_S => Ok(duration),
        _ if value > LONGEST_S => Err(ConfigError::value(flag, format!("{value} seconds are more than 30 days"))),
        _ => Err(ConfigError::value(flag, format!("{value} is not a number of seconds above 0"))),
    }
}
