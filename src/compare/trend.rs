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

/// A metric over runs of one benchmark, the oldest first. Level changes of a share below `min_magnitude` are none, and none is looked for
/// between hosts, servers, versions or questions. Runs of which too many requests failed have no place in it.
pub fn trend(benchmark: &str, metric: Metric, runs: &[&Report], min_magnitude: f64) -> Trend {
    let point = |run: &Report| {
        let estimate = run.estimates.get(&metric)?;
        let is_of_load = run.boundary.is_none() && failed_share(&run.passes) <= FAILURE_BUDGET;
        let ends = estimate.lower.zip(estimate.upper);
        (is_of_load && estimate.point.is_finite()).then(|| of_run(run, estimate.point, ends))
    };
    let apart = |a: &Report, b: &Report| why_not(a, b).another_question;
    Trend { benchmark: benchmark.to_owned(), metric: Some(metric), series: series(runs, point, apart, min_magnitude) }
}

/// The most load that held over the searches of one benchmark, in the same way.
pub fn boundary_trend(benchmark: &str, runs: &[&Report], min_magnitude: f64) -> Trend {
    let point = |run: &Report| {
        let boundary = run.boundary.as_ref()?;
        let low = boundary.highest_met?;
        Some(of_run(run, low, boundary.lowest_missed.map(|high| (low, high))))
    };
    let series = series(runs, point, boundaries_apart, min_magnitude);
    Trend { benchmark: benchmark.to_owned(), metric: None, series }
}

fn of_run(run: &Report, value: f64, ends: Option<(f64, f64)>) -> TrendPoint {
    TrendPoint { started_at: run.started_at.clone(), commit: run.commit.clone(), value, ends }
}

/// Runs by what may be set beside what, each with its level changes.
fn series(
    runs: &[&Report],
    point: impl Fn(&Report) -> Option<TrendPoint>,
    asked: impl Fn(&Report, &Report) -> Vec<String>,
    min_magnitude: f64,
) -> Vec<TrendSeries> {
    let apart = |a: &Report, b: &Report| {
        let mut by = asked(a, b);
        by.extend(elsewhere(a, b));
        by
    };
    let mut found: Vec<(&Report, TrendSeries)> = Vec::new();
    for run in runs {
        let Some(point) = point(run) else { continue };
        // The one that grew last goes to the end.
        let known = found.iter().rposition(|(other, _)| apart(run, other).is_empty());
        let mut series = known.map_or_else(|| (*run, TrendSeries::default()), |known| found.remove(known));
        series.1.points.push(point);
        found.push(series);
    }
    let newest = found.last().map(|(run, _)| *run);
    let finished = found.into_iter().map(|(run, mut series)| {
        series.apart_by = newest.map(|newest| apart(run, newest)).unwrap_or_default();
        let values: Vec<f64> = series.points.iter().map(|point| point.value).collect();
        series.changes = level_changes(&values, min_magnitude);
        series
    });
    finished.collect()
}

/// What of two runs was at another place.
fn elsewhere(a: &Report, b: &Report) -> Vec<String> {
    let mut by = Vec::new();
    if a.host != b.host {
        by.push(format!("another host: {}", a.host));
    }
    if a.server.identity() != b.server.identity() {
        by.push(format!("another server: {}", a.server.identity()));
    }
    if let Some(gpus) = a.server.gpus.filter(|_| a.server.gpus != b.server.gpus) {
        by.push(format!("a server with another number of GPUs: {gpus}"));
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
            edit(r);
        })
    }

    fn shape(trend: &Trend) -> Vec<(usize, Vec<usize>)> {
        trend.series.iter().map(|s| (s.points.len(), s.changes.iter().map(|change| change.at).collect())).collect()
    }

    fn rpm(runs: &[Report]) -> Trend {
        trend("a/c1", "rpm".parse().unwrap(), &runs.iter().collect::<Vec<_>>(), 0.01)
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
                "another host: linux with 2 cores of x",
            ),
            (
                &|r| r["server"]["url"] = "http://h:2".into(),
                &[(12, vec![]), (12, vec![])],
                "another server: http://h:1",
            ),
            (&|r| r["server"]["version"] = "2".into(), &[(12, vec![]), (12, vec![])], "the server's version \"1\""),
            (
                &|r| r["workload"]["digest"] = "sha256:e".into(),
                &[(12, vec![]), (12, vec![])],
                "another workload: other texts (digest sha256:d, the baseline has sha256:e)",
            ),
            // Too many failed, or there is no number.
            (&|r| set(r, "failed", 10.into()), &[(12, vec![])], ""),
            (&|r| r["estimates"] = json!({}), &[(12, vec![])], ""),
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
        assert_eq!(rpm(&[]).series, super::trend("a/max", "rpm".parse().unwrap(), &runs, 0.05).series);
    }
}
