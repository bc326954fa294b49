//! The files' form: of this version, and of the older ones that still read.

use serde::{Deserialize, Serialize};

use super::escaped::from_json;
use crate::run::{CALIBRATION_SCHEMA_VERSION, Calibration, Report, SCHEMA_VERSION};

/// The oldest version of report.json that still reads.
const OLDEST_SCHEMA_VERSION: u32 = 1;

/// As it stands in the file.
///
/// # Errors
/// Where a number is not one that JSON has; none of the metrics is.
pub fn to_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// A report, of a file of this version or an older one.
///
/// # Errors
/// Where it is not a report, or one of a version that is not known.
pub fn report_from_json(text: &str) -> Result<Report, String> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    // First alone, so that a newer file is not called broken.
    let Version { schema_version } = serde_json::from_str(text).map_err(|e| format!("it is no report: {e}"))?;
    if !(OLDEST_SCHEMA_VERSION..=SCHEMA_VERSION).contains(&schema_version) {
        let reads = match OLDEST_SCHEMA_VERSION == SCHEMA_VERSION {
            true => SCHEMA_VERSION.to_string(),
            false => format!("{OLDEST_SCHEMA_VERSION} to {SCHEMA_VERSION}"),
        };
        return Err(format!("its schema_version is {schema_version}, and this version of tachometer reads {reads}"));
    }
    let read: serde_json::Result<Report> = match schema_version {
        1 => version_1::read(text),
        _ => from_json(text),
    };
    let mut report = read.map_err(|e| format!("it is no report of schema_version {schema_version}: {e}"))?;
    // Older files say it with each estimate alone, where it is the same.
    if let Some(estimate) = report.estimates.values().next() {
        report.confidence_level = estimate.confidence_level;
    }
    Ok(report)
}

/// A calibration, of its file's text.
///
/// # Errors
/// Where it is not what [`to_json`] writes.
pub fn calibration_from_json(text: &str) -> Result<Calibration, String> {
    let calibration: Calibration = from_json(text).map_err(|e| e.to_string())?;
    match calibration.schema_version {
        CALIBRATION_SCHEMA_VERSION => Ok(calibration),
        other => Err(format!(
            "its schema_version is {other}, and this version of tachometer reads {CALIBRATION_SCHEMA_VERSION}"
        )),
    }
}

/// Reports of the first version: the latencies of an open loop counted from the actual send, and those from the intended send
/// stood beside them; events that came in one read counted as gaps of 0.
mod version_1 {
    use serde_json::Value;

    use super::from_json;
    use crate::{
        run::{Report, SCHEMA_VERSION},
        stats::estimates,
    };

    pub fn read(text: &str) -> serde_json::Result<Report> {
        let mut whole: Value = from_json(text)?;
        let is_open = whole["load"]["kind"] == "open";
        for pass in whole["passes"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if is_open {
                for latency in ["ttft", "ttfo", "e2e"] {
                    let intended = pass.remove(&format!("{latency}_intended_s")).unwrap_or(Value::Null);
                    let sent = pass.insert(format!("{latency}_s"), intended).unwrap_or(Value::Null);
                    pass.insert(format!("{latency}_sent_s"), sent);
                }
            }
            if pass.get("coalesced_share").and_then(Value::as_f64).is_some_and(|share| share > 0.0) {
                pass.insert("itl_s".to_owned(), Value::Null);
            }
        }
        let mut report: Report = serde_json::from_value(whole)?;
        report.schema_version = SCHEMA_VERSION;
        let level = report.estimates.values().next().map(|estimate| estimate.confidence_level);
        if let (Some(_), Some(level)) = (report.load.shape().request_rate(), level) {
            report.estimates = estimates(&report.passes, level, report.stopping());
        } else if report.passes.iter().any(|pass| pass.itl_s.is_none()) {
            report.estimates.retain(|metric, _| metric.quantity().name != "itl");
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::samples::report;

    #[test]
    fn a_report_of_the_first_version_still_reads() {
        let mut value = serde_json::to_value(report(|r| {
            r["load"] = json!({"kind": "open", "request_rate": 20.0, "arrival": "poisson", "burstiness": 1.0, "max_in_flight": null});
        }))
        .unwrap();
        value["schema_version"] = 1.into();
        value["estimates"] = json!({"ttft_p50": {"point": 1.0, "lower": null, "upper": null, "confidence_level": 0.9, "unit": "s", "better": "lower"}});
        for pass in value["passes"].as_array_mut().unwrap() {
            let five = json!({"mean": 5.0, "min": 5.0, "max": 5.0, "p50": 5.0, "p90": 5.0, "p95": 5.0, "p99": 5.0, "count": 100});
            (pass["ttft_intended_s"], pass["e2e_intended_s"]) = (five.clone(), five);
        }
        let read = report_from_json(&value.to_string()).unwrap();
        let pass = &read.passes[0];
        assert_eq!((pass.ttft_s.unwrap().p50, pass.e2e_s.unwrap().p50, pass.ttfo_s), (5.0, 5.0, None));
        let sent = [pass.ttft_sent_s, pass.ttfo_sent_s, pass.e2e_sent_s].map(|latency| latency.unwrap().p50);
        assert_eq!((sent, pass.itl_s.unwrap().p50, read.schema_version), ([1.0; 3], 1.0, 2));
        let estimate = &read.estimates[&"ttft_p50".parse().unwrap()];
        assert_eq!((estimate.point.round(), estimate.confidence_level, read.confidence_level), (5.0, 0.9, 0.9));
        value["schema_version"] = 9.into();
        let why = "its schema_version is 9, and this version of tachometer reads 1 to 2";
        assert_eq!(report_from_json(&value.to_string()), Err(why.to_owned()));
        value["schema_version"] = 1.into();
        // Merged events were gaps of 0.
        value["load"] = json!({"kind": "closed", "concurrency": 1});
        value["estimates"]["itl_p50"] = value["estimates"]["ttft_p50"].clone();
        value["passes"][1]["coalesced_share"] = json!(0.1);
        let read = report_from_json(&value.to_string()).unwrap();
        assert_eq!(read.passes.iter().map(|pass| pass.itl_s.is_some()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(read.estimates.keys().map(ToString::to_string).collect::<Vec<_>>(), ["ttft_p50"]);
        assert_eq!(read.passes[0].ttft_s.unwrap().p50, 1.0);
    }

    #[test]
    fn calibrations() {
        let found = Calibration {
            schema_version: CALIBRATION_SCHEMA_VERSION,
            noise_floors: [("rpm".parse().unwrap(), 0.1)].into_iter().collect(),
            calibrations: 1,
            confidence_level: 0.95,
            pairs: 3,
            seeds: vec![0, 1, 2],
            run: report(|_| ()),
        };
        let text = to_json(&found).unwrap();
        assert_eq!(calibration_from_json(&text).as_ref(), Ok(&found));
        let newer = text.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1);
        let why = calibration_from_json(&newer).unwrap_err();
        assert_eq!(why, "its schema_version is 9, and this version of tachometer reads 1");
        assert!(calibration_from_json("{").is_err());
        // What it says is shown, wherever it comes from.
        let evil = text.replace("\"cpu\": \"x\"", "\"cpu\": \"\\u001b[31m\"");
        assert_eq!(calibration_from_json(&evil).unwrap().run.host.cpu.as_deref(), Some(r"\u{1b}[31m"));
    }
}
