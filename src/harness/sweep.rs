//! Sweeps: one load after another, until more of it only makes requests wait.

use super::{
    RunError,
    find_max::begun_per_s,
    identity::Half,
    measure::{Measured, Work},
};
use crate::{
    config::{Benchmark, MOST_SWEPT_CLIENTS, Sweep, SweepRange, USUAL_RATES},
    load::{LoadPoint, Searched},
    report::{load_words, warn},
    stats::{AtLoad, is_saturated},
};

/// Requests of the look at one client alone.
const SERIAL_REQUESTS: usize = 16;
/// Where one client gets as much as many do, the sweep begins at this share of it.
const LEAST_SHARE: f64 = 0.25;

impl Work<'_> {
    /// Measures the loads of a sweep from the lowest up, a benchmark each, and hands over what each gave. Gives whether all that was measured
    /// could be kept.
    pub fn sweep(
        &self,
        benchmark: &Benchmark,
        sweep: &Sweep,
        keep: &mut dyn FnMut(Measured) -> bool,
    ) -> Result<bool, RunError> {
        let name = &benchmark.name;
        let loads = self.swept(benchmark, sweep)?;
        let words = |load: f64| load_words(load, sweep.swept);
        let in_words: Vec<String> =
            loads.iter().map(|load| sweep.swept.at(*load, &sweep.pacing).shape().name()).collect();
        self.output.status(&format!("Sweeping {name}: {}", in_words.join(", ")));
        let mut last: Option<AtLoad> = None;
        let mut all_kept = true;
        for (i, load) in loads.iter().enumerate() {
            self.session.stop.forgive_failures();
            self.session.check_stopped()?;
            let point = point(benchmark, sweep.swept.at(*load, &sweep.pacing));
            let measured = match self.measure(&point) {
                Ok(measured) => measured,
                // That it fails under a load is what a sweep finds.
                Err(error @ (RunError::TooManyFailures { .. } | RunError::AllFailed { .. } | RunError::Connect(_)))
                    if i > 0 =>
                {
                    self.budget.release(loads.len() - i - 1);
                    warn(format!("{name} stops before {}: {error}", words(*load)));
                    return Ok(all_kept);
                }
                Err(error) => return Err(error),
            };
            let now = AtLoad::of(*load, &measured.report.estimates);
            all_kept &= keep(measured);
            if let Some((before, now)) = last.zip(now)
                && is_saturated(&before, &now)
                && i + 1 < loads.len()
            {
                let (left, at) = (loads.len() - i - 1, words(*load));
                self.budget.release(left);
                self.output.status(&format!(
                    "Sweeping {name}: at {at} latency grows but throughput does not; skipping the remaining {left}"
                ));
                break;
            }
            last = now;
        }
        Ok(all_kept)
    }

    /// The loads of a sweep, the lowest first.
    fn swept(&self, benchmark: &Benchmark, sweep: &Sweep) -> Result<Vec<f64>, RunError> {
        let SweepRange { ends, points } = sweep.range;
        match sweep.swept {
            Searched::Concurrency => {
                let (low, high) = ends.unwrap_or((1.0, MOST_SWEPT_CLIENTS));
                // With fewer ends given than points, so many doublings.
                let mut loads = match (ends, points) {
                    (Some(_), Some(points)) => geometric(low, high, points),
                    (_, points) => doublings(low, high, points.unwrap_or(usize::MAX)),
                };
                loads.iter_mut().for_each(|load| *load = load.round());
                loads.dedup();
                // More clients than prompts are the same load again.
                let most = match benchmark.workload.duration {
                    Some(_) => MOST_SWEPT_CLIENTS,
                    None => self.conversations(benchmark)? as f64,
                };
                if benchmark.workload.duration.is_none() && loads.iter().any(|load| *load > most) {
                    warn(format!(
                        "{} stops at {most} clients, as many as a pass has {}: to go further, raise --num-prompts or use --duration",
                        benchmark.name,
                        if most < benchmark.workload.num_prompts as f64 { "conversations" } else { "prompts" }
                    ));
                    loads.retain(|load| *load <= most);
                }
                match loads.is_empty() {
                    true => {
                        Err(RunError::Search(format!("it starts with more clients than a pass has prompts ({most})")))
                    }
                    false => Ok(loads),
                }
            }
            Searched::Rate => {
                if let Some((low, high)) = ends {
                    let mut loads = geometric(low, high, points.unwrap_or(USUAL_RATES));
                    loads.dedup();
                    return Ok(loads);
                }
                let mut alone = benchmark.clone();
                alone.workload.num_prompts = alone.workload.num_prompts.min(SERIAL_REQUESTS);
                alone.workload.duration = None;
                let (passes, _) = self.measured_at(&alone, LoadPoint::closed(1), Half::First, 1, &|_| false)??;
                let serial = passes.first().map_or(0.0, begun_per_s);
                let most = self.most_at_once(benchmark)?;
                Ok(preferred(serial.min(most * LEAST_SHARE), most, points.unwrap_or(USUAL_RATES)))
            }
        }
    }
}

/// One load of a sweep.
fn point(benchmark: &Benchmark, load: LoadPoint) -> Benchmark {
    Benchmark {
        name: format!("{}/{}", benchmark.workload.name, load.shape().name()),
        workload: benchmark.workload.clone(),
        load,
        find_max: None,
        sweep: None,
        point_of: Some(benchmark.name.clone()),
    }
}

/// From one load to another, twice as much each time, and the last.
fn doublings(low: f64, high: f64, points: usize) -> Vec<f64> {
    let below = std::iter::successors(Some(low), |load| Some(load * 2.0)).take_while(|load| *load < high);
    below.chain([high]).take(points).collect()
}

/// From one load to another, so many, the same factor between two, to three digits.
fn geometric(low: f64, high: f64, points: usize) -> Vec<f64> {
    let last = points.saturating_sub(1).max(1);
    let at = |i: usize| low * (high / low).powf(i as f64 / last as f64);
    (0..=last)
        .map(|i| {
            if i == 0 {
                low
            } else if i == last {
                high
            } else {
                to_digits(at(i), 3)
            }
        })
        .collect()
}

/// So many rates about from one to another. They are numbers of which a decade has twenty, 1, 1.1, 1.3, 1.4, 1.6 and so on, so that the sweep
/// of a server that is a little faster has the same ones, and can be compared.
fn preferred(low: f64, high: f64, points: usize) -> Vec<f64> {
    // The ends are of every second of them.
    let end = |rate: f64| 2 * (10.0 * rate.log10()).round() as i32;
    let first = end(low);
    let last = end(high).max(first + 2);
    let steps = points.saturating_sub(1).max(1) as f64;
    let at = |i: usize| first + (f64::from(last - first) * i as f64 / steps).round() as i32;
    let mut rates: Vec<f64> = (0..points).map(|i| to_digits(10f64.powf(f64::from(at(i)) / 20.0), 2)).collect();
    rates.dedup();
    rates
}

fn to_digits(number: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits - 1 - number.abs().log10().floor() as i32);
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_of_a_range() {
        assert_eq!(doublings(1.0, 256.0, usize::MAX), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]);
        assert_eq!(doublings(3.0, 20.0, usize::MAX), [3.0, 6.0, 12.0, 20.0]);
        assert_eq!(doublings(1.0, 65_536.0, 4), [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(geometric(2.0, 32.0, 5), [2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(geometric(1.0, 3.0, 4), [1.0, 1.44, 2.08, 3.0]);
    }

    #[test]
    fn rates_that_are_found_are_the_same_for_about_the_same_server() {
        let rates = preferred(1.02, 9.6, 8);
        assert_eq!(rates, [1.0, 1.4, 2.0, 2.8, 3.5, 5.0, 7.1, 10.0]);
        for factor in [0.95, 0.98, 1.03, 1.05] {
            assert_eq!(preferred(1.02 * factor, 9.6 * factor, 8), rates, "{factor}");
        }
        assert_eq!(preferred(100.0, 100.0, 8), [100.0, 110.0, 130.0]);
        assert_eq!(preferred(0.011, 0.3, 3).len(), 3);
    }
}
