use serde::{Deserialize, Serialize};

/// How many values of a pass lie where, for pictures: buckets whose ends lie 2 % apart, so that a value is known to 1 %. Percentiles do not
/// come from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The number of the first bucket: bucket i is from 1.02^i to 1.02^(i+1).
    first: i32,
    /// Of that bucket and those after it, up to the last that has any.
    counts: Vec<u64>,
    /// Values of 0, which lie in no bucket.
    #[serde(default, skip_serializing_if = "is_zero")]
    zeros: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// From one end of a bucket to the other.
const STEP: f64 = 1.02;

impl Histogram {
    /// Of these values, none below 0; `None` where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all = Self { first: 0, counts: Vec::new(), zeros: 0 };
        values.into_iter().for_each(|value| all.add(value, 1));
        (all.count() > 0).then_some(all)
    }

    fn add(&mut self, value: f64, times: u64) {
        if value > 0.0 && value.is_finite() {
            self.add_at((value.ln() / STEP.ln()).floor() as i32, times);
        } else {
            self.zeros += times;
        }
    }

    fn add_at(&mut self, bucket: i32, times: u64) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        let before = (self.first - bucket).max(0) as usize;
        self.counts.splice(0..0, std::iter::repeat_n(0, before));
        self.first = self.first.min(bucket);
        let place = (bucket - self.first) as usize;
        self.counts.resize(self.counts.len().max(place + 1), 0);
        self.counts[place] += times;
    }

    /// Adds those of another pass.
    pub fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        for (place, times) in other.counts.iter().enumerate().filter(|(_, times)| **times > 0) {
            self.add_at(other.first + place as i32, *times);
        }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Up to each bucket's upper end that has any: that end, and the share of all values below it.
    pub fn cumulative(&self) -> Vec<(f64, f64)> {
        let all = self.count() as f64;
        let mut below = self.zeros;
        let points = self.counts.iter().enumerate().filter(|(_, times)| **times > 0).map(|(place, times)| {
            below += times;
            (STEP.powi(self.first + place as i32 + 1), below as f64 / all)
        });
        points.collect()
    }
}

/// Those of a pass's latencies: `passes[].histograms` of report.json, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Histograms {
    /// Time to first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_s: Option<Histogram>,
    /// Time per output token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpot_s: Option<Histogram>,
    /// Gaps between token events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl_s: Option<Histogram>,
    /// End to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2e_s: Option<Histogram>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_to_a_hundredth() {
        let values = [0.5, 0.0, 3e-6, 12.0, 0.5];
        let of = Histogram::of(values).unwrap();
        assert_eq!(of.count(), 5);
        let cumulative = of.cumulative();
        for (value, share) in [(3e-6, 0.4), (0.5, 0.8), (12.0, 1.0)] {
            let (end, below) = cumulative.iter().find(|(end, _)| *end > value).unwrap();
            assert!(*end <= value * 1.0201 && (below - share).abs() < 1e-12, "{value}: {end} {below}");
        }
        let mut both = Histogram::of([1e3]).unwrap();
        both.merge(&of);
        assert_eq!((both.count(), both.cumulative().len()), (6, 4));
        assert_eq!(serde_json::from_str::<Histogram>(&serde_json::to_string(&both).unwrap()).unwrap(), both);
        assert_eq!(Histogram::of([]), None);
    }
}
