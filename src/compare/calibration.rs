//! How far identical runs fall apart on one host and server: the noise floor of its verdicts.

use super::{
    change::paired_change,
    units::{Pair, units},
};
use crate::{
    metrics::Metric,
    run::{CALIBRATION_SCHEMA_VERSION, Calibration, Report},
    stats::Stopping,
};

/// What two runs that differ in nothing show.
pub fn calibrate(first: &Report, second: Report, confidence_level: f64) -> Calibration {
    // Pass by pass; with fresh prompts the halves have other seeds.
    let halves: Vec<Pair> = first.passes.iter().zip(&second.passes).collect();
    let pairs = halves.len();
    let floor = |metric: Metric| {
        let of_unit = |unit: &Vec<Pair>| unit.iter().map(|(a, b)| metric.of(a).zip(metric.of(b))).collect();
        let values: Option<Vec<Vec<(f64, f64)>>> = units(&halves).iter().map(of_unit).collect();
        let (lower, upper) = paired_change(metric, &values?, Stopping::Planned)?.interval(confidence_level);
        // A floor of 1 or more would leave nothing to be said; a band below -100 % does not exist.
        Some((metric, upper.max(-lower).min(MOST)))
    };
    let noise_floors = Metric::all().filter_map(floor).collect();
    let mut seeds: Vec<u64> = first.passes.iter().chain(&second.passes).map(|pass| pass.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    Calibration {
        schema_version: CALIBRATION_SCHEMA_VERSION,
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
pub fn with_earlier(mut calibration: Calibration, earlier: &Calibration) -> Calibration {
    if no_floors_for(earlier, &calibration.run).is_none() {
        calibration.calibrations += earlier.calibrations;
        calibration.seeds.extend(&earlier.seeds);
        calibration.seeds.sort_unstable();
        calibration.seeds.dedup();
        for (metric, floor) in earlier.noise_floors.iter() {
            let known = calibration.noise_floors.entry(*metric).or_insert(*floor);
            *known = known.max(*floor);
        }
    }
    calibration
}

/// Why a calibration says nothing about a run; `None` where it does.
pub(super) fn no_floors_for(calibration: &Calibration, run: &Report) -> Option<String> {
    let here = &calibration.run;
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

const MOST: f64 = 0.99;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        run::samples::{report, scale},
        stats::PairedChange,
    };

    const OUTPUT: &str = "output_tokens_per_s";

    fn calibration(factors: [f64; 3]) -> Calibration {
        calibrate(&report(|_| ()), report(|r| scale(r, &[OUTPUT], factors)), 0.95)
    }

    #[test]
    fn a_floor_is_the_far_end_of_the_interval_either_way() {
        let slower = calibration([0.9, 0.92, 0.94]);
        let interval = |factors: [f64; 3]| {
            PairedChange::of(&factors.map(|f| vec![(1.0, f)]), Stopping::Planned).unwrap().interval(0.95)
        };
        assert_eq!(slower.noise_floors[&OUTPUT.parse().unwrap()], -interval([0.9, 0.92, 0.94]).0);
        assert_eq!(calibration([1.1, 1.2, 1.15]).noise_floors[&OUTPUT.parse().unwrap()], interval([1.1, 1.2, 1.15]).1);
        assert_eq!((slower.noise_floors[&"rpm".parse().unwrap()], slower.pairs, slower.calibrations), (0.0, 3, 1));
        assert_eq!(calibration([0.1, 9.0, 3.0]).noise_floors[&OUTPUT.parse().unwrap()], 0.99);
        // Pass by pass, whatever their seeds: fresh prompts have others.
        let other_seeds = report(|r| {
            for pass in r["passes"].as_array_mut().unwrap() {
                pass["seed"] = (pass["seed"].as_u64().unwrap() + 100).into();
            }
        });
        let fresh = calibrate(&report(|_| ()), other_seeds, 0.95);
        assert_eq!((fresh.pairs, &*fresh.seeds), (3, &[0, 1, 2, 100, 101, 102][..]));
        assert_eq!(slower.seeds, [0, 1, 2]);
        assert_eq!(with_earlier(slower, &fresh).seeds, fresh.seeds);
    }

    #[test]
    fn the_greatest_of_several_is_kept() {
        let (small, great) = (calibration([0.99, 0.99, 0.99]), calibration([0.9, 0.9, 0.9]));
        let floor = great.noise_floors[&OUTPUT.parse().unwrap()];
        for both in [with_earlier(small.clone(), &great), with_earlier(great.clone(), &small)] {
            assert_eq!((both.calibrations, both.noise_floors[&OUTPUT.parse().unwrap()]), (2, floor));
        }
        let mut elsewhere = great;
        elsewhere.run.host.cores = 9;
        let alone = with_earlier(small.clone(), &elsewhere);
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
            assert_eq!(no_floors_for(&found, &report(*edit)).as_deref(), *expected);
        }
        let embedded = |port: &'static str| {
            report(move |r| {
                r["server"]["embedded"] = true.into();
                r["server"]["url"] = port.into();
            })
        };
        let of_engine = calibrate(&embedded("a"), embedded("a"), 0.95);
        assert_eq!(no_floors_for(&of_engine, &embedded("b")), None);
        assert_eq!(
            no_floors_for(&found, &embedded("http://h:1")).as_deref().map(|why| &why[..27]),
            Some("it was found on another ser")
        );
    }
}
