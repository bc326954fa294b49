//! How long a run will still take, from the passes so far and those of the last run.

use std::{cell::RefCell, time::Duration};

use crate::{
    baseline::{NEW, Store},
    config::{Benchmark, Plan},
};

/// The passes of a run that are planned. Empty where nobody knows how many there will be: in a search or a sweep, or with `--resolve`.
#[derive(Default)]
pub struct Eta(RefCell<Vec<Part>>);

/// A benchmark.
struct Part {
    name: String,
    passes_left: usize,
    prompts: f64,
    /// Of passes of the last run, where that asked for the same; in seconds.
    foreseen_s: Option<f64>,
    /// Of passes of this run.
    sum_s: f64,
    passes: usize,
}

impl Part {
    fn pass_s(&self) -> Option<f64> {
        if self.passes > 0 { Some(self.sum_s / self.passes as f64) } else { self.foreseen_s }
    }
}

impl Eta {
    /// For these benchmarks, each of which makes so many times its passes: twice in a calibration.
    pub fn of(plan: &Plan, selected: &[&Benchmark], times: usize, store: &Store) -> Self {
        // A sweep ends where the server is saturated.
        let is_open = |benchmark: &&Benchmark| benchmark.find_max.is_some() || benchmark.sweep.is_some();
        if plan.resolve.is_some() || selected.iter().any(is_open) {
            return Self::default();
        }
        let times = if plan.against.is_some() { 2 * times } else { times };
        let part = |benchmark: &&Benchmark| {
            let workload = &benchmark.workload;
            // What can't be read foresees nothing.
            let last = store.read_report(&benchmark.name, NEW).ok().flatten();
            let duration_s = workload.duration.map(|time| time.as_secs_f64());
            let last = last.filter(|last| {
                (last.workload.num_prompts, last.workload.duration_s) == (workload.num_prompts, duration_s)
            });
            let foreseen = last
                .filter(|last| !last.passes.is_empty())
                .map(|last| last.passes.iter().map(|pass| pass.duration_s).sum::<f64>() / last.passes.len() as f64);
            Part {
                name: benchmark.name.clone(),
                passes_left: workload.sample_size * times,
                prompts: workload.num_prompts as f64,
                foreseen_s: duration_s.or(foreseen),
                sum_s: 0.0,
                passes: 0,
            }
        };
        Self(RefCell::new(selected.iter().map(part).collect()))
    }

    /// A pass begins; gives how long what comes after it will take, where that can be told.
    pub fn begin(&self, name: &str) -> Option<Duration> {
        let mut parts = self.0.borrow_mut();
        let part = parts.iter_mut().find(|part| part.name == name)?;
        part.passes_left = part.passes_left.saturating_sub(1);
        // A benchmark that was not measured yet takes as long for a prompt as those that were, for want of anything better.
        let known = || parts.iter().filter_map(|part| Some((part.pass_s()?, part.prompts)));
        let a_prompt_s = known().map(|known| known.0).sum::<f64>() / known().map(|known| known.1).sum::<f64>();
        let left = |part: &Part| part.passes_left as f64 * part.pass_s().unwrap_or(a_prompt_s * part.prompts);
        let left_s: f64 = parts.iter().filter(|part| part.passes_left > 0).map(left).sum();
        Duration::try_from_secs_f64(left_s).ok()
    }

    /// A benchmark is done, however it ended.
    pub fn done(&self, name: &str) {
        self.0.borrow_mut().iter_mut().filter(|part| part.name == name).for_each(|part| part.passes_left = 0);
    }

    /// A pass has ended.
    pub fn ended(&self, name: &str, pass_s: f64) {
        if let Some(part) = self.0.borrow_mut().iter_mut().find(|part| part.name == name) {
            part.sum_s += pass_s;
            part.passes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_what_its_passes_take() {
        let part = |name: &str, passes_left: usize, prompts: f64, foreseen_s: Option<f64>| Part {
            name: name.to_owned(),
            passes_left,
            prompts,
            foreseen_s,
            sum_s: 0.0,
            passes: 0,
        };
        let eta =
            Eta(RefCell::new(vec![part("a", 2, 100.0, None), part("b", 3, 200.0, None), part("c", 1, 1.0, Some(7.0))]));
        let begin = |name: &str| eta.begin(name).map(|left| left.as_secs_f64());
        // 7 s for one prompt is all that is known.
        assert_eq!(begin("a"), Some(700.0 + 3.0 * 1400.0 + 7.0));
        eta.ended("a", 10.0);
        // 17 s for 101 prompts.
        let left = begin("a").unwrap();
        assert!((left - (3.0 * 200.0 * 17.0 / 101.0 + 7.0)).abs() < 1e-6, "{left}");
        eta.ended("a", 12.0);
        begin("b");
        eta.ended("b", 30.0);
        assert_eq!(begin("b"), Some(30.0 + 7.0));
        eta.done("b");
        assert_eq!((begin("c"), begin("none")), (Some(0.0), None));
        let nothing = Eta(RefCell::new(vec![part("a", 2, 100.0, None)]));
        assert_eq!(nothing.begin("a"), None);
        assert_eq!(nothing.begin("a"), Some(Duration::ZERO));
    }
}
