//! What is read of several pages at one moment, and what of it belongs to a pass.

use std::collections::BTreeMap;

use super::{gpu::GpuReading, names::Reading};
use crate::metrics::{Gauge, GaugeReading, Scrape};

/// What was read at one moment.
pub struct Moment {
    /// In nanoseconds of the clock of records.
    pub at_ns: u64,
    /// Of the server's own page.
    pub server: Option<Reading>,
    /// In the order in which they were asked for.
    pub wanted: Vec<Option<f64>>,
    pub gpu: Option<GpuReading>,
}

impl Moment {
    pub fn seconds_since(&self, before: &Self) -> f64 {
        self.at_ns.saturating_sub(before.at_ns) as f64 * 1e-9
    }

    /// What the server's own gauges stood at, where it says.
    pub fn gauges(&self) -> Option<GaugeReading> {
        let Reading { running, waiting, kv_use, .. } = self.server?;
        Some(GaugeReading { at_ns: self.at_ns, running, waiting, kv_use })
    }
}

/// What was wanted: the mean of a gauge over the readings during a pass, a counter's rate between those before and after it.
pub fn scraped(wanted: &[Scrape], before: &Moment, during: &[Moment], after: &Moment) -> BTreeMap<String, f64> {
    let apart_s = after.seconds_since(before);
    let value = |(i, scrape): (usize, &Scrape)| {
        let of = |moment: &Moment| moment.wanted.get(i).copied().flatten();
        let value = match scrape.is_rate {
            // One that falls was started anew.
            true => Some((of(after)? - of(before)?) / apart_s).filter(|rate| *rate >= 0.0 && rate.is_finite()),
            false => Gauge::over(during, of).map(|gauge| gauge.mean),
        };
        Some((scrape.to_string(), value?))
    };
    wanted.iter().enumerate().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_means_and_counters_rates() {
        let moment = |s: u64, gauge: f64, counter: f64| Moment {
            at_ns: s * 1_000_000_000,
            server: None,
            wanted: vec![Some(gauge), Some(counter), None],
            gpu: None,
        };
        let wanted = ["g", "rate:c", "gone"].map(|text| text.parse::<Scrape>().unwrap());
        let of = |before, during: &[Moment], after| scraped(&wanted, &before, during, &after);
        let named = |values: &[(&str, f64)]| values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let during = [moment(1, 4.0, 15.0), moment(2, 6.0, 25.0)];
        assert_eq!(of(moment(0, 0.0, 10.0), &during, moment(4, 0.0, 30.0)), named(&[("g", 5.0), ("rate:c", 5.0)]));
        assert_eq!(of(moment(0, 0.0, 10.0), &[], moment(4, 0.0, 3.0)), BTreeMap::new());
        assert_eq!(of(moment(0, 0.0, 10.0), &[], moment(4, 0.0, 10.0)), named(&[("rate:c", 0.0)]));
    }
}
