//! How far identical runs fall apart on one host and server: the noise floor of its verdicts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    report::Report,
    stats::{Metric, PairedChange},
    text::from_json,
};

/// Goes up when the meaning of a key changes.
const SCHEMA_VERSION: u32 = 1;

/// What `--calibrate` found, as it stands in calibration.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version of this file's form.
    pub schema_version: u32,
    /// For each metric the farthest that two identical runs may lie apart, as a share: the far end of the confidence interval
    /// of their difference, and the greatest of all calibrations.
    pub noise_floors: BTreeMap<String, f64>,
    /// How many there were.
    pub calibrations: usize,
    /// Level of those intervals.
    pub confidence_level: f64,
    /// Pairs of passes.
    pub pairs: usize,
    /// Seeds of the prompts that all of them have sent.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The second of the two runs: on which host, server and workload it was found.
    pub run: Report,
}

impl Calibration {
    /// Of two runs that differ in nothing.
    pub fn of(first: &Report, second: Report, confidence_level: f64) -> Self {
        // Pass by pass; with fresh prompts the halves have other seeds.
        let halves = || first.passes.iter().zip(&second.passes);
        let floor = |metric: Metric| {
            let values = halves().filter_map(|(a, b)| metric.of(a).zip(metric.of(b)));
            let (lower, upper) = PairedChange::of(&values.collect::<Vec<_>>())?.interval(confidence_level);
            // A floor of 1 or more would leave nothing to be said; a band below -100 % does not exist.
            Some((metric.to_string(), upper.max(-lower).min(MOST)))
        };
        let noise_floors = Metric::all().filter_map(floor).collect();
        let pairs = halves().count();
        let mut seeds: Vec<u64> = first.passes.iter().chain(&second.passes).map(|pass| pass.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        Self {
            schema_version: SCHEMA_VERSION,
            noise_floors,
            calibrations: 1,
            confidence_level,
            pairs,
            seeds,
            run: second,
        }
    }

    /// Adds what an earlier one found, where that was of the same host, server and workload: machines drift, and each
    /// calibration sees no more than its own minutes of that.
    #[must_use]
    pub fn with_earlier(mut self, earlier: &Self) -> Self {
        if earlier.why_not(&self.run).is_none() {
            self.calibrations += earlier.calibrations;
            self.seeds.extend(&earlier.seeds);
            self.seeds.sort_unstable();
            self.seeds.dedup();
            for (metric, floor) in &earlier.noise_floors {
                let known = self.noise_floors.entry(metric.clone()).or_insert(*floor);
                *known = known.max(*floor);
            }
        }
        self
    }

    /// Why it says nothing about a run; `None` where it does.
    pub fn why_not(&self, run: &Report) -> Option<String> {
        let here = &self.run;
        if here.host != run.host {
            return Some(format!("it was found on another host, {}", here.host));
        }
        let server = |report: &Report| match report.server.embedded {
            true => "the embedded engine".to_owned(),
            false => format!("{} with the model {}", report.server.url, report.server.model),
        };
        if server(here) != server(run) {
            return Some(format!("it was found on another server, {}", server(here)));
        }
        if here.workload.digest != run.workload.digest || here.load != run.load {
            return Some("it was found with another workload or load".to_owned());
        }
        None
    }

    /// Of the file's text.
    ///
    /// # Errors
    /// Where it is not what [`Calibration::to_json`] writes.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let calibration: Self = from_json(text).map_err(|e| e.to_string())?;
        match calibration.schema_version {
            SCHEMA_VERSION => Ok(calibration),
            other => {
                Err(format!("its schema_version is {other}, and this version of tachometer reads {SCHEMA_VERSION}"))
            }
        }
    }

    /// As it stands in the file.
    ///
    /// # Errors
    /// Where a number is not one that JSON has.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

const MOST: f64 = 0.99;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::samples::{report, scale};

    const OUTPUT: &str = "output_tokens_per_s";

    fn calibration(factors: [f64; 3]) -> Calibration {
        Calibration::of(&report(|_| ()), report(|r| scale(r, &[OUTPUT], factors)), 0.95)
    }

    #[test]
    fn a_floor_is_the_far_end_of_the_interval_either_way() {
        let slower = calibration([0.9, 0.92, 0.94]);
        let interval = |factors: [f64; 3]| PairedChange::of(&factors.map(|f| (1.0, f))).unwrap().interval(0.95);
        assert_eq!(slower.noise_floors[OUTPUT], -interval([0.9, 0.92, 0.94]).0);
        assert_eq!(calibration([1.1, 1.2, 1.15]).noise_floors[OUTPUT], interval([1.1, 1.2, 1.15]).1);
        assert_eq!((slower.noise_floors["rpm"], slower.pairs, slower.calibrations), (0.0, 3, 1));
        assert_eq!(calibration([0.1, 9.0, 3.0]).noise_floors[OUTPUT], 0.99);
        // Pass by pass, whatever their seeds: fresh prompts have others.
        let other_seeds = report(|r| {
            for pass in r["passes"].as_array_mut().unwrap() {
                pass["seed"] = (pass["seed"].as_u64().unwrap() + 100).into();
            }
        });
        let fresh = Calibration::of(&report(|_| ()), other_seeds, 0.95);
        assert_eq!((fresh.pairs, &*fresh.seeds), (3, &[0, 1, 2, 100, 101, 102][..]));
        assert_eq!(slower.seeds, [0, 1, 2]);
        assert_eq!(slower.with_earlier(&fresh).seeds, fresh.seeds);
    }

    #[test]
    fn the_greatest_of_several_is_kept() {
        let (small, great) = (calibration([0.99, 0.99, 0.99]), calibration([0.9, 0.9, 0.9]));
        let floor = great.noise_floors[OUTPUT];
        for both in [small.clone().with_earlier(&great), great.clone().with_earlier(&small)] {
            assert_eq!((both.calibrations, both.noise_floors[OUTPUT]), (2, floor));
        }
        let mut elsewhere = great;
        elsewhere.run.host.cores = 9;
        let alone = small.clone().with_earlier(&elsewhere);
        assert_eq!((alone.calibrations, &alone.noise_floors), (1, &small.noise_floors));
    }

    #[test]
    fn it_holds_for_its_host_server_workload_and_load() {
        let found = calibration([1.0; 3]);
        let table: &[(fn(&mut Value), Option<&str>)] = &[
            (|_| (), None),
            (|r| r["host"]["cores"] = 9.into(), Some("it was found on another host, linux with 2 cores of x")),
            (
                |r| r["server"]["url"] = "http://h:2".into(),
                Some("it was found on another server, http://h:1 with the model m"),
            ),
            (
                |r| r["server"]["model"] = "n".into(),
                Some("it was found on another server, http://h:1 with the model m"),
            ),
            (|r| r["workload"]["digest"] = "x".into(), Some("it was found with another workload or load")),
            (|r| r["load"]["concurrency"] = 2.into(), Some("it was found with another workload or load")),
        ];
        for (edit, expected) in table {
            assert_eq!(found.why_not(&report(*edit)).as_deref(), *expected);
        }
        let embedded = |port: &'static str| {
            report(move |r| {
                r["server"]["embedded"] = true.into();
                r["server"]["url"] = port.into();
            })
        };
        let of_engine = Calibration::of(&embedded("a"), embedded("a"), 0.95);
        assert_eq!(of_engine.why_not(&embedded("b")), None);
        assert_eq!(
            found.why_not(&embedded("http://h:1")).as_deref().map(|why| &why[..27]),
            Some("it was found on another ser")
        );
    }

    #[test]
    fn files() {
        let found = calibration([0.9, 0.91, 0.92]);
        let text = found.to_json().unwrap();
        assert_eq!(Calibration::from_json(&text).as_ref(), Ok(&found));
        let newer = text.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1);
        let why = Calibration::from_json(&newer).unwrap_err();
        assert_eq!(why, "its schema_version is 9, and this version of tachometer reads 1");
        assert!(Calibration::from_json("{").is_err());
        // What it says is shown, wherever it comes from.
        let evil = text.replace("\"cpu\": \"x\"", "\"cpu\": \"\\u001b[31m\"");
        assert_eq!(Calibration::from_json(&evil).unwrap().run.host.cpu.as_deref(), Some(r"\u{1b}[31m"));
    }
}
