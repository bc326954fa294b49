//! How the change of a metric is found.

use crate::{
    metrics::Metric,
    stats::{PairedChange, Stopping},
};

/// The change of a metric, by unit.
pub(super) fn paired_change(metric: Metric, values: &[Vec<(f64, f64)>], stopping: Stopping) -> Option<PairedChange> {
    match metric.quantity().can_be_zero {
        true => PairedChange::of_means(values, stopping),
        false => PairedChange::of(values, stopping),
    }
}

/// Whether the lower end of a change says something: what can't be 0 does not fall by all of it.
pub(super) fn is_meant(metric: Metric, lower: f64) -> bool {
    lower > -1.0 || metric.quantity().can_be_zero
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_nothing_does_not_fall_by_all_of_it() {
        let meant = |name: &str, lower| is_meant(name.parse().unwrap(), lower);
        assert!(meant("rpm", -0.99) && !meant("rpm", -1.0) && !meant("rpm", -1.5));
        assert!(meant("goodput_rps", -0.99) && meant("goodput_rps", -1.0));
    }
}
