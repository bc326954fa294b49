//! A number over the runs of a benchmark, and where its level changes.

use super::{
    boundary::boundaries_apart,
    comparable::{FAILURE_BUDGET, failed_share, why_not},
};
use crate::{
    metrics::Metric,
    run::{Report, Trend, TrendPoint, TrendSeries},
    stats::level_changes,
};

/// Metrics over runs of one benchmark, the oldest first; those that no run has are left out. Level changes of a share below
/// `min_magnitude` are none, and none is looked for between hosts, servers, versions or questions: the series of all metrics are the same
/// runs. Runs of which too many requests failed have no place in it.
pub fn trends(benchmark: &str, metrics: &[Metric], runs: &[&Report], min_magnitude: f64) -> Vec<Trend> {
    let is_of_load = |run: &&Report| run.boundary.is_none() && failed_share(&run.passes) <= FAILURE_BUDGET;
    let runs: Vec<&Report> = runs.iter().copied().filter(is_of_load).collect();
    let groups = groups(&runs, |a, b| why_not(a, b).another_question);
    let of_metric = |metric: &Metric| {
        let point = |run: &&Report| {
            let estimate = run.estimates.get(metric).filter(|estimate| estimate.point.is_finite())?;
            Some(of_run(run, estimate.point, estimate.lower.zip(estimate.upper)))
        };
        Trend { benchmark: benchmark.to_owned(), metric: Some(*metric), series: series(&groups, point, min_magnitude) }
    };
    let is_there = |trend: &Trend| trend.series.iter().any(|series| !series.points.is_empty());
    metrics.iter().map(of_metric).filter(is_there).collect()
}

/// The most load that held over the searches of one benchmark, in the same way; 0 where none did.
pub fn boundary_trend(benchmark: &str, runs: &[&Report], min_magnitude: f64) -> Trend {
    let runs: Vec<&Report> = runs.iter().copied().filter(|run| run.boundary.is_some()).collect();
    let point = |run: &&Report| {
        let boundary = run.boundary.as_ref()?;
        let low = boundary.highest_met.or(boundary.lowest_missed.map(|_| 0.0))?;
        Some(of_run(run, low, boundary.lowest_missed.map(|high| (low, high))))
    };
    let series = series(&groups(&runs, boundaries_apart), point, min_magnitude);
    Trend { benchmark: benchmark.to_owned(), metric: None, series }
}

fn of_run(run: &Report, value: f64, ends: Option<(f64, f64)>) -> TrendPoint {
    TrendPoint { started_at: run.started_at.clone(), commit: run.commit.clone(), value, ends }
}

/// Runs that may be set beside one another, and what tells them from those of the last group.
struct Group<'a> {
    runs: Vec<&'a Report>,
    apart_by: Vec<String>,
}

/// Runs by what may be set beside what; the group of the last run is the last.
fn groups<'a>(runs: &[&'a Report], asked: impl Fn(&Report, &Report) -> Vec<String>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for run in runs {
        // What is told by the place alone is cheaper to tell.
        let is_beside = |other: &Report| elsewhere(run, other).is_empty() && asked(run, other).is_empty();
        // The one that grew last goes to the end.
        let known = groups.iter().rposition(|group| is_beside(group.runs[0]));
        let mut group =
            known.map_or_else(|| Group { runs: Vec::new(), apart_by: Vec::new() }, |known| groups.remove(known));
        group.runs.push(run);
        groups.push(group);
    }
    let newest = groups.last().map(|group| group.runs[0]);
    for (group, newest) in groups.iter_mut().zip(std::iter::repeat(newest)) {
        let first = group.runs[0];
        group.apart_by =
            newest.into_iter().flat_map(|newest| [asked(first, newest), elsewhere(first, newest)].concat()).collect();
    }
    groups
}

/// The groups with their points, each with its level changes.
fn series(groups: &[Group], point: impl Fn(&&Report) -> Option<TrendPoint>, min_magnitude: f64) -> Vec<TrendSeries> {
    let of_group = |group: &Group| {
        let points: Vec<TrendPoint> = group.runs.iter().filter_map(&point).collect();
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        TrendSeries { apart_by: group.apart_by.clone(), changes: level_changes(&values, min_magnitude), points }
    };
    groups.iter().map(of_group).collect()
}

/// What of two runs was at another place.
fn elsewhere(a: &Report, b: &Report) -> Vec<String> {
    let mut by = Vec::new();
    if a.host != b.host {
        by.push(format!("different host: {}", a.host));
    }
    if a.server.identity() != b.server.identity() {
        by.push(format!("different server: {}", a.server.identity()));
    }
    // Of one that does not say it nobody knows.
    if let Some((gpus, _)) = a.server.gpus.zip(b.server.gpus).filter(|(a, b)| a != b) {
        by.push(format!("a server with a different number of GPUs: {gpus}"));
    }
    if a.server.facts != b.server.facts {
        let facts = a.server.facts.iter().filter(|(key, value)| b.server.facts.get(*key) != Some(value));
        let facts: Vec<String> = facts.map(|(key, value)| format!("{key} {value}")).collect();
        by.push(format!("the server's {}", if facts.is_empty() { "facts".to_owned() } else { facts.join(", ") }));
    }
    by
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::run::samples::{report, set};

    fn run(day: usize, rpm: f64, edit: impl Fn(&mut Value)) -> Report {
        report(|r| {
            r["started_at"] = format!("2026-01-{day:02}T00:00:00Z").into();
            r["estimates"] = json!({"rpm": {"point": rpm, "lower": rpm - 1.0, "upper": rpm + 1.0, "confidence_level": 0.95, "unit": "1/min",
                "better": "higher"}});
            r["server"]["build"] = "b".into();
            edit(r);
        })
    }

    fn shape(trend: &Trend) -> Vec<(usize, Vec<usize>)> {
        trend.series.iter().map(|s| (s.points.len(), s.changes.iter().map(|change| change.at).collect())).collect()
    }

    fn rpm(runs: &[Report]) -> Trend {
        let trends = trends("a/c1", &["rpm".parse().unwrap()], &runs.iter().collect::<Vec<_>>(), 0.01);
        trends.into_iter().next().unwrap()
    }

    /// A step of the same size is a change within a series, and none between two.
    #[test]
    fn levels_are_those_of_one_host_server_version_and_question() {
        let steps = |edit: &dyn Fn(&mut Value)| -> Vec<Report> {
            let noise = |day: usize| (day * 7 % 5) as f64;
            let before = (1..=12).map(|day| run(day, 1000.0 + noise(day), |_| ()));
            before.chain((13..=24).map(|day| run(day, 900.0 + noise(day), edit))).collect()
        };
        let table: &[(&dyn Fn(&mut Value), &[(usize, Vec<usize>)], &str)] = &[
            (&|_| (), &[(24, vec![12])], ""),
            (
                &|r| r["host"]["cores"] = 4.into(),
                &[(12, vec![]), (12, vec![])],
                "different host: linux with 2 cores of x",
            ),
            (
                &|r| r["server"]["url"] = "http://h:2".into(),
                &[(12, vec![]), (12, vec![])],
                "different server: http://h:1",
            ),
            (&|r| r["server"]["version"] = "2".into(), &[(12, vec![]), (12, vec![])], "the server's version \"1\""),
            (
                &|r| r["workload"]["digest"] = "sha256:e".into(),
                &[(12, vec![]), (12, vec![])],
                "different workload: different texts (digest sha256:d, the baseline has sha256:e)",
            ),
            // Too many failed, or there is no number.
            (&|r| set(r, "failed", 10.into()), &[(12, vec![])], ""),
            (&|r| r["estimates"] = json!({}), &[(12, vec![])], ""),
            (&|r| r["server"]["gpus"] = 8.into(), &[(24, vec![12])], ""),
        ];
        for (edit, expected, apart_by) in table {
            let trend = rpm(&steps(*edit));
            assert_eq!(shape(&trend), *expected, "{apart_by}");
            assert_eq!(trend.series[0].apart_by.join("; "), *apart_by);
        }
        let trend = rpm(&steps(&|_| ()));
        let point = &trend.series[0].points[12];
        assert_eq!((point.value, point.ends), (901.0, Some((900.0, 902.0))));
        assert!((trend.series[0].changes[0].change() + 0.1).abs() < 0.001);
    }

    /// Two hosts that take turns are two series.
    #[test]
    fn runs_of_several_hosts_may_alternate() {
        let cores = |day: usize| move |r: &mut Value| r["host"]["cores"] = (2 + day % 2).into();
        let runs: Vec<Report> = (1..=30).map(|day| run(day, 1000.0 + 500.0 * (day % 2) as f64, cores(day))).collect();
        assert_eq!(shape(&rpm(&runs)), [(15, vec![]), (15, vec![])]);
        // And so are two servers with different numbers of GPUs, where both say how many they have.
        let gpus = |of: fn(usize) -> usize| {
            let runs: Vec<Report> =
                (1..=30).map(|day| run(day, 1000.0, |r| r["server"]["gpus"] = of(day).into())).collect();
            shape(&rpm(&runs))
        };
        assert_eq!(gpus(|day| 2 + day % 2), [(15, vec![]), (15, vec![])]);
        assert_eq!(gpus(|_| 4), [(30, vec![])]);
    }

    #[test]
    fn searches_have_the_most_load_that_held() {
        let searched = |day: usize, low: f64| {
            run(day, 1.0, |r| {
                r["load"]["concurrency"] = (low as usize).into();
                r["boundary"] = json!({
                    "searched": "concurrency", "objectives": ["ttft_p50 < 1 s"], "precision": 0.05, "highest_met": low,
                    "lowest_missed": low + 1.0, "undecided": [], "not_monotonic": [], "verified": true, "broken": [], "points": []
                });
            })
        };
        let runs: Vec<Report> = (1..=20).map(|day| searched(day, if day < 11 { 64.0 } else { 32.0 })).collect();
        let runs: Vec<&Report> = runs.iter().collect();
        let trend = boundary_trend("a/max", &runs, 0.05);
        assert_eq!(shape(&trend), [(20, vec![10])]);
        assert_eq!(trend.series[0].points[0].ends, Some((64.0, 65.0)));
        // Their passes are of another load each time.
        assert_eq!(trends("a/max", &["rpm".parse().unwrap()], &runs, 0.05), []);
        // Where nothing holds, that is the least there can be.
        let nothing = run(21, 1.0, |r| {
            r["boundary"] = serde_json::to_value(&runs[0].boundary).unwrap();
            (r["boundary"]["highest_met"], r["boundary"]["lowest_missed"]) = (Value::Null, json!(1.0));
        });
        assert_eq!(boundary_trend("a/max", &[&nothing], 0.05).series[0].points[0].value, 0.0);
    }
}
