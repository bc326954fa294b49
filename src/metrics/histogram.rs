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

const MOST_BUCKETS: i32 = 10_000;

/// From one end of a bucket to the other.
const STEP: f64 = 1.02;

impl Histogram {
    /// Of these values, none below 0; `None` where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all = Self::none();
        values.into_iter().for_each(|value| all.add(value, 1));
        (all.count() > 0).then_some(all)
    }

    /// Of nothing, for others to be added.
    pub fn none() -> Self {
        Self { first: 0, counts: Vec::new(), zeros: 0 }
    }

    fn add(&mut self, value: f64, times: u64) {
        if value > 0.0 && value.is_finite() {
            self.add_at((value.ln() / STEP.ln()).floor() as i32, times);
        } else {
            self.zeros += times;
        }
    }

    fn add_at(&mut self, bucket: i32, times: u64) {
        // A file may say anything: from 1e-86 to 1e86 seconds is enough.
        if bucket.abs() > MOST_BUCKETS {
            return;
        }
        if self.counts.is_empty() {
            self.first = bucket;
        }
        let before = (self.first - bucket).max(0) as usize;
        self.counts.splice(0..0, std::iter::repeat_n(0, before));
        self.first = self.first.min(bucket);
        let place = (bucket - self.first) as usize;
        self.counts.resize(self.counts.len().max(place + 1), 0);
        self.counts[place] = self.counts[place].saturating_add(times);
    }

    /// Adds those of another pass.
    pub fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (bucket, times) in (other.first..).zip(&other.counts).filter(|(_, times)| **times > 0) {
            self.add_at(bucket, *times);
        }
    }

    /// Those of several passes together; `None` where there are none.
    pub fn pooled<'a>(all: impl Iterator<Item = &'a Self>) -> Option<Self> {
        all.fold(None, |pooled: Option<Self>, one| {
            // A file may say anything: what is merged has been looked at.
            let mut pooled = pooled.unwrap_or_else(Self::none);
            pooled.merge(one);
            Some(pooled)
        })
    }

    /// The counts in no more than that many bins of one width on a logarithmic scale, and where the first begins and the last ends; `None`
    /// where no value is above 0.
    pub fn in_bins(&self, most: usize) -> Option<((f64, f64), Vec<u64>)> {
        let width = self.counts.len().div_ceil(most.max(1)).max(1);
        let bins: Vec<u64> =
            self.counts.chunks(width).map(|bin| bin.iter().fold(0, |all: u64, n| all.saturating_add(*n))).collect();
        let last = self.first + i32::try_from(self.counts.len()).ok()?;
        (!bins.is_empty()).then(|| ((STEP.powi(self.first), STEP.powi(last)), bins))
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(self.zeros, |all, times| all.saturating_add(*times))
    }

    /// The corners of the cumulative distribution: at each bucket that has any its upper end with the share of all values below it, and before
    /// it its lower end, where the bucket before has none.
    pub fn cumulative(&self) -> Vec<(f64, f64)> {
        let all = self.count() as f64;
        let (mut below, mut points, mut last) = (self.zeros, Vec::new(), None);
        for (bucket, times) in (self.first..).zip(&self.counts).filter(|(_, times)| **times > 0) {
            if last != Some(bucket) {
                points.push((STEP.powi(bucket), below as f64 / all));
            }
            below = below.saturating_add(*times);
            points.push((STEP.powi(bucket + 1), below as f64 / all));
            last = Some(bucket + 1);
        }
        points
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

    /// A step of 2 % each: those of neighbours meet, and have no corner twice.
    #[test]
    fn buckets_side_by_side_are_one_line() {
        let cumulative = Histogram::of([1.01, 1.03, 1.03, 1.05]).unwrap().cumulative();
        let shares: Vec<f64> = cumulative.iter().map(|(_, share)| *share).collect();
        assert_eq!(shares, [0.0, 0.25, 0.75, 1.0]);
        let expected = [1.0, 1.02, 1.02 * 1.02, 1.02 * 1.02 * 1.02];
        assert!(
            cumulative.iter().zip(expected).all(|((value, _), edge)| (value - edge).abs() < 1e-12),
            "{cumulative:?}"
        );
    }

    /// From 1e-86 to 1e86 seconds.
    #[test]
    fn the_outermost_bucket_counts() {
        let at = |bucket: i32| {
            let mut histogram = Histogram::of([1.0]).unwrap();
            histogram.add_at(bucket, 1);
            histogram.count() - 1
        };
        assert_eq!([MOST_BUCKETS, -MOST_BUCKETS, MOST_BUCKETS + 1, -MOST_BUCKETS - 1].map(at), [1, 1, 0, 0]);
    }

    #[test]
    fn values_are_known_to_a_hundredth() {
        let values = [0.5, 0.0, 3e-6, 12.0, 0.5];
        let of = Histogram::of(values).unwrap();
        assert_eq!(of.count(), 5);
        let cumulative = of.cumulative();
        // Three buckets that stand alone: a step each.
        let steps = [(3e-6, 0.2, 0.4), (0.5, 0.4, 0.8), (12.0, 0.8, 1.0)];
        for ((value, before, share), corners) in steps.into_iter().zip(cumulative.chunks(2)) {
            let [(from, low), (to, high)] = corners else { panic!("{cumulative:?}") };
            assert!(*from <= value && value < *to && *to <= from * 1.0201, "{value}: {corners:?}");
            assert!((low - before).abs() < 1e-12 && (high - share).abs() < 1e-12, "{value}: {corners:?}");
        }
        let mut both = Histogram::of([1e3]).unwrap();
        both.merge(&of);
        assert_eq!((both.count(), both.cumulative().len()), (6, 8));
        let foreign: Histogram =
            serde_json::from_str(r#"{"first": -2000000000, "counts": [1, 18446744073709551615]}"#).unwrap();
        both.merge(&foreign);
        assert_eq!(both.count(), 6);
        assert_eq!(serde_json::from_str::<Histogram>(&serde_json::to_string(&both).unwrap()).unwrap(), both);
        assert_eq!(Histogram::of([]), None);
        let json = |values: &[f64]| serde_json::to_value(Histogram::of(values.iter().copied()).unwrap()).unwrap();
        assert_eq!((json(&[1.0]).get("zeros"), json(&[1.0, 0.0]).get("zeros")), (None, Some(&1.into())));
        // Buckets of a file that nothing lies in take no room.
        let spacious: Histogram = serde_json::from_str(r#"{"first": -50, "counts": [0, 0, 7, 0]}"#).unwrap();
        let merged = serde_json::to_value(Histogram::pooled([&spacious].into_iter()).unwrap()).unwrap();
        assert_eq!(merged["counts"].as_array().unwrap().iter().filter_map(|n| n.as_u64()).collect::<Vec<_>>(), [7]);
    }
}
