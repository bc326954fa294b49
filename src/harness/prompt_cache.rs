//! Whether the server's prompt cache may have served what is measured.
//!
//! Servers keep the beginnings of prompts that they have computed, and mostly do not say when they use them: the same fixed-seed
//! prompts sent again look like a speed-up. Which prompts went to a server before is known from the run and from the files of
//! earlier ones; whether it caches them, `probe.rs` finds out.

use crate::{
    dataset::Policy,
    run::{Calibration, Report},
};

/// What tells whether two runs sent the same prompts, whatever they asked beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptsOf {
    /// As report.json names it.
    pub dataset: String,
    /// How they were drawn.
    pub sampler: Policy,
    /// By which seeds.
    pub seeds: Vec<u64>,
}

impl PromptsOf {
    /// Whether some of them may be the same.
    pub fn overlap(&self, other: &Self) -> bool {
        let same_kind = self.dataset == other.dataset && self.sampler == other.sampler;
        same_kind && self.seeds.iter().any(|seed| other.seeds.contains(seed))
    }
}

/// What sending prompts twice has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// Whether the server caches prompts; `None` where it did not answer, or no prompt could be made.
    pub caches: Option<bool>,
    /// How much longer it took for a new prompt than for one that it had answered, at the median.
    pub factor: Option<f64>,
    /// Whether it says how many tokens came from its cache.
    pub reports: bool,
}

/// The earlier run or calibration that has sent some of these prompts to this server, if one has.
pub fn sent_by(
    runs: &[Report],
    calibration: Option<&Calibration>,
    server: &str,
    prompts: &PromptsOf,
) -> Option<String> {
    // A calibration keeps the report of its second half, and the seeds of both.
    let of_calibration = calibration.map(|found| (&found.run, &*found.seeds));
    let sent = |run: &Report, more: &[u64]| {
        let seeds = run.passes.iter().map(|pass| pass.seed).chain(more.iter().copied()).collect();
        let of = PromptsOf { dataset: run.workload.dataset.clone(), sampler: run.workload.sampler, seeds };
        // Where words stood before each prompt, none of them is known by its beginning.
        run.server.identity() == server && run.workload.nonce_seed.is_none() && of.overlap(prompts)
    };
    let all = runs.iter().map(|run| (run, &[][..])).chain(of_calibration);
    let all = all.filter(|(run, more)| sent(run, more)).map(|(run, _)| run);
    last_of(all)
}

/// The last of these runs, in words.
pub fn last_of<'a>(runs: impl Iterator<Item = &'a Report>) -> Option<String> {
    let last = runs.max_by(|a, b| a.started_at.cmp(&b.started_at))?;
    let when = last.started_at.get(..16).unwrap_or(&last.started_at).replace('T', " ");
    Some(format!("{} of {when}", last.id))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{compare::calibrate, run::samples::report};

    #[test]
    fn prompts_are_known_by_dataset_sampler_seed_and_server() {
        let prompts = |seeds: &[u64]| PromptsOf {
            dataset: "d.json".to_owned(),
            sampler: Policy::FilterThenSample,
            seeds: seeds.to_vec(),
        };
        let of = |edit: fn(&mut Value), seeds: &[u64]| sent_by(&[report(edit)], None, "http://h:1", &prompts(seeds));
        assert_eq!(of(|_| (), &[2, 3]).as_deref(), Some("a/c1 of 2026-01-01 00:00"));
        assert_eq!(of(|_| (), &[3, 4]), None);
        assert_eq!(of(|r| r["workload"]["dataset"] = "e.json".into(), &[0]), None);
        assert_eq!(of(|r| r["workload"]["sampler"] = "shuffle-then-filter".into(), &[0]), None);
        assert_eq!(of(|r| r["server"]["url"] = "http://h:2".into(), &[0]), None);
        assert_eq!(of(|r| r["workload"]["nonce_seed"] = 7.into(), &[0]), None);
        // The last one is named.
        let later = report(|r| r["started_at"] = "2026-02-01T10:20:30Z".into());
        let both = sent_by(&[later, report(|_| ())], None, "http://h:1", &prompts(&[0]));
        assert_eq!(both.as_deref(), Some("a/c1 of 2026-02-01 10:20"));
    }

    /// With fresh prompts the two halves have other seeds, and those of the first are a run's.
    #[test]
    fn a_calibration_has_sent_the_prompts_of_both_halves() {
        let second = report(|r| (0..3).for_each(|i| r["passes"][i]["seed"] = (i + 50).into()));
        let calibration = calibrate(&report(|_| ()), second, 0.95);
        for (seed, known) in [(0, true), (52, true), (3, false)] {
            let prompts =
                PromptsOf { dataset: "d.json".to_owned(), sampler: Policy::FilterThenSample, seeds: vec![seed] };
            assert_eq!(sent_by(&[], Some(&calibration), "http://h:1", &prompts).is_some(), known, "{seed}");
        }
    }
}
