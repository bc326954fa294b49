//! Where a comparison stands while its passes are still being made.

use super::{
    Terms,
    change::{is_meant, paired_change},
    comparable::pairs,
    comparison::values,
    units::{Pair, units},
};
use crate::{
    metrics::{Metric, PassMetrics},
    stats::{PairedChange, Stopping, Threshold, Verdict, estimates},
};

/// What the passes so far say of a gated metric.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Which.
    pub metric: Metric,
    /// The change, or how far the metric's own interval reaches, as a share.
    pub change: f64,
    /// The interval of the change, where it has ends.
    pub ends: Option<(f64, f64)>,
    /// The verdict, if these were all passes.
    pub verdict: Verdict,
    /// How many passes would settle it, if change and noise stay what they are; `None` for more than 1,000.
    pub passes_needed: Option<usize>,
    paired: Option<PairedChange>,
    passes_a_unit: f64,
    confidence_level: f64,
}

impl Standing {
    /// Whether more passes can change nothing that matters.
    pub fn is_settled(&self) -> bool {
        self.verdict != Verdict::Inconclusive
    }

    /// The change, as a share, that so many passes would tell from none, with the noise of those so far.
    pub fn resolution(&self, passes: usize) -> Option<f64> {
        let units = (passes as f64 / self.passes_a_unit) as usize;
        let resolution = self.paired.filter(|_| units >= 2)?.resolution(units, self.confidence_level);
        Some(resolution).filter(|share| share.is_finite())
    }
}

/// Of the gated metrics, by the passes of a run and of what it is compared with; `together` are all comparisons of the run, each of
/// which is corrected for the others.
pub fn standings(new: &[PassMetrics], base: &[PassMetrics], terms: &Terms, together: usize) -> Vec<Standing> {
    let pairs: Vec<Pair> = pairs(new, base).collect();
    let units = units(&pairs);
    let threshold = Threshold::new(terms.noise_threshold);
    let of = |metric: &Metric| {
        let values = values(*metric, &units);
        let passes_a_unit = values.iter().map(Vec::len).sum::<usize>() as f64 / values.len().max(1) as f64;
        let paired = paired_change(*metric, &values, Stopping::Sequential);
        let change = paired.map_or(f64::NAN, |paired| paired.change());
        let ends = paired.map(|paired| paired.interval(terms.confidence_level));
        let verdict = paired.map_or(Verdict::Inconclusive, |paired| {
            let beyond = (paired.p_beyond(threshold) * together as f64).min(1.0);
            Verdict::of(change, metric.better(), beyond, paired.p_within(threshold), terms.significance_level)
        });
        let needed = paired.and_then(|paired| {
            let level = terms.significance_level / together as f64;
            paired.units_needed(threshold, Some(threshold), level)
        });
        Standing {
            metric: *metric,
            change,
            ends: ends.filter(|(lower, upper)| is_meant(*metric, *lower) && upper.is_finite()),
            verdict,
            passes_needed: needed.map(|units| (units as f64 * passes_a_unit).ceil() as usize),
            paired,
            passes_a_unit,
            confidence_level: terms.confidence_level,
        }
    };
    terms.gate.iter().map(of).collect()
}

/// Of a run that there is nothing to compare with: how far the interval of each gated metric reaches, as a share of it, where it has
/// ends.
pub fn precision(passes: &[PassMetrics], terms: &Terms) -> Vec<(Metric, Option<f64>)> {
    let estimates = estimates(passes, terms.confidence_level, Stopping::Sequential);
    let reach = |metric: &Metric| {
        let estimate = estimates.get(metric)?;
        let upper = estimate.upper?;
        // Nothing, each time, is known well.
        Some(if upper == estimate.point { 0.0 } else { upper / estimate.point - 1.0 })
    };
    terms.gate.iter().map(|metric| (*metric, reach(metric))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Report, samples::report};

    fn run(factors: &[f64]) -> Report {
        report(|r| {
            let pass = r["passes"][0].clone();
            let passes = factors.iter().enumerate().map(|(seed, factor)| {
                let mut pass = pass.clone();
                (pass["seed"], pass["digest"]) = (seed.into(), format!("sha256:{seed}").into());
                (pass["rpm"], pass["instance"]) = ((*factor).into(), seed.into());
                pass
            });
            r["passes"] = passes.collect();
        })
    }

    fn terms() -> Terms {
        let gate = vec!["rpm".parse().unwrap()];
        Terms { noise_threshold: 0.03, significance_level: 0.05, confidence_level: 0.95, gate }
    }

    #[test]
    fn passes_go_on_until_it_is_clear() {
        let of = |factors: &[f64], together| {
            standings(&run(factors).passes, &run(&vec![1.0; factors.len()]).passes, &terms(), together)[0]
        };
        let slower = [0.9, 0.901, 0.899, 0.9, 0.901, 0.899];
        assert_eq!(
            [3, 4, 6].map(|n| of(&slower[..n], 1).verdict),
            [Verdict::Inconclusive, Verdict::Regressed, Verdict::Regressed]
        );
        let same = of(&[1.0, 1.001, 0.999, 1.0, 1.001], 1);
        assert!(same.verdict == Verdict::NoChange && same.is_settled() && same.ends.is_some(), "{same:?}");
        // Of many comparisons, each must be clearer.
        assert_eq!(of(&slower[..4], 1000).verdict, Verdict::Inconclusive);
        let open = of(&[0.95, 1.05, 0.96, 1.06], 1);
        assert!(!open.is_settled() && open.passes_needed.is_some_and(|n| n > 10), "{open:?}");
        // And then more of them are needed.
        let among_ten = of(&[0.95, 1.05, 0.96, 1.06], 10).passes_needed;
        assert!(among_ten.is_some_and(|n| n > open.passes_needed.unwrap()), "{open:?}, {among_ten:?}");
        // So far apart that the interval ends nowhere.
        for wild in [[1e-200, 1e200, 1.0, 1.0], [1e-87, 1e-174, 1e-130, 1e-130], [1e130, 1e260, 1e195, 1e195]] {
            assert_eq!(of(&wild, 1).ends, None, "{wild:?}");
        }
        let resolution = |passes| open.resolution(passes).unwrap();
        assert!(resolution(100) < 0.03 && resolution(100) < resolution(10), "{open:?}");
        assert_eq!((open.resolution(1), of(&[1.0], 1).resolution(9)), (None, None));
        let none = of(&[1.0], 1);
        assert!(none.change.is_nan() && none.ends.is_none() && !none.is_settled());
    }

    #[test]
    fn the_interval_of_a_run_alone() {
        let reach = |factors: &[f64]| precision(&run(factors).passes, &terms())[0].1;
        assert_eq!(reach(&[1.0, 1.001]), None);
        let of_five = reach(&[1.0, 1.001, 1.0, 1.001, 1.0]);
        assert!(of_five.is_some_and(|reach| reach > 0.0001 && reach < 0.002), "{of_five:?}");
        // Nothing, each time, is known well: no 0 by 0.
        let gate = vec!["goodput_rps".parse().unwrap()];
        let mut nothing = run(&[1.0; 5]);
        nothing.passes.iter_mut().for_each(|pass| pass.good = Some(0));
        assert_eq!(precision(&nothing.passes, &Terms { gate, ..terms() })[0].1, Some(0.0));
    }

    /// Of three processes with two passes each, whole processes are what is still needed.
    #[test]
    fn processes_are_the_units() {
        let mut new = run(&[0.95, 0.951, 1.05, 1.051, 0.96, 0.961]);
        new.passes.iter_mut().enumerate().for_each(|(i, pass)| pass.instance = Some(i / 2));
        let by_process = standings(&new.passes, &run(&[1.0; 6]).passes, &terms(), 1)[0];
        let by_pass = {
            new.passes = [0, 2, 4].map(|i| new.passes[i].clone()).to_vec();
            standings(&new.passes, &run(&[1.0; 6]).passes, &terms(), 1)[0]
        };
        // What the processes' means are is nearly what their first passes are.
        let [needed, needed_by_pass] = [by_process, by_pass].map(|standing| standing.passes_needed.unwrap() as f64);
        assert!((needed / (2.0 * needed_by_pass) - 1.0).abs() < 0.1, "{needed} {needed_by_pass}");
        let [resolution, resolution_by_pass] = [by_process.resolution(60).unwrap(), by_pass.resolution(30).unwrap()];
        assert!((resolution / resolution_by_pass - 1.0).abs() < 0.1, "{resolution} {resolution_by_pass}");
    }
}
