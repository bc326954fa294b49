//! Student's t distribution.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Student's t: the value below which that share of the distribution lies.
pub(super) fn t_quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(probability))
}

/// Student's t: the share of the distribution above a value.
pub(super) fn t_above(value: f64, degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(1.0, |t| t.sf(value))
}
