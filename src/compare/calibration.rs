//! How far identical runs fall apart on one host and server: the noise floor of its verdicts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    report::Report,
    stats::{Metric, PairedChange},
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
        Self { schema_version: SCHEMA_VERSION, noise_floors, calibrations: 1, confidence_level, pairs, run: second }
    }

    /// Adds what an earlier one found, where that was of the same host, server and workload: machines drift, and each
    /// calibration sees no more than its own minutes of that.
    #[must_use]
    pub fn with_earlier(mut self, earlier: &Self) -> Self {
        if earlier.why_not(&self.run).is_none() {
            self.calibrations += earlier.calibrations;
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
        let calibration: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
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
