//! From two reports to the change of every metric and its verdict.

use super::{
    calibration::no_floors_for,
    change::{is_meant, paired_change},
    comparable::{cache_reason, pairs, warnings, why_not},
    confounders::{client_difference, host_difference},
    units::{Pair, units},
};
use crate::{
    metrics::{ByMetric, Metric},
    run::{Baseline, Calibration, Comparison, Design, FailureChange, MetricChange, Report},
    stats::{Stopping, Threshold, Verdict, holm, more_failures},
};

/// What a comparison goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Changes up to this share are none.
    pub noise_threshold: f64,
    /// Chance of any wrong *regressed* or *improved* among all gated metrics of a run; and again among all others.
    pub significance_level: f64,
    /// Level of the intervals that are shown.
    pub confidence_level: f64,
    /// The metrics that decide.
    pub gate: Vec<Metric>,
}

fn failure_change(new: &Report, base: &Report) -> FailureChange {
    let count = |report: &Report| {
        let failed: usize = report.passes.iter().map(|pass| pass.failed).sum();
        let completed: usize = report.passes.iter().map(|pass| pass.completed).sum();
        (failed as u64, (failed + completed) as u64)
    };
    let (of_new, of_base) = (count(new), count(base));
    let p_value = more_failures(of_new, of_base);
    FailureChange {
        failed: of_new.0,
        requests: of_new.1,
        baseline_failed: of_base.0,
        baseline_requests: of_base.1,
        p_value,
        p_value_corrected: p_value,
        regressed: false,
    }
}

/// Compares a run with its baseline. The verdicts are those of this benchmark alone until [`settle`].
pub fn compare(new: &Report, baseline: &Baseline, calibration: Option<&Calibration>, terms: &Terms) -> Comparison {
    let base = &baseline.report;
    let reasons = why_not(new, base);
    let why_not: Vec<String> = reasons.all().cloned().collect();
    let another_question = !reasons.another_question.is_empty();
    let mut warnings = warnings(new, base, baseline.design);
    warnings.extend(baseline.note.clone());
    let pairs: Vec<Pair> = pairs(&new.passes, &base.passes).collect();
    let fewer = new.passes.len().max(base.passes.len()) - pairs.len();
    if fewer > 0 && !pairs.is_empty() && why_not.is_empty() {
        let (passes, are) = if fewer == 1 { ("pass has", "is") } else { ("passes have", "are") };
        warnings.push(format!("{fewer} {passes} no counterpart with the same seed and {are} ignored"));
    }
    let floors = calibration.and_then(|calibration| match no_floors_for(calibration, new) {
        None => Some(&calibration.noise_floors),
        Some(why) => {
            warnings.push(format!("the noise floor that --calibrate found does not apply here: {why}"));
            None
        }
    });
    let of_client = client_difference(new, base).filter(|difference| *difference > terms.noise_threshold);
    if let Some(difference) = of_client {
        let percent = difference * 100.0;
        warnings.push(format!(
            "the client's share of the time differs by {percent:.1} % between the two, so no smaller change of a rate counts as one: \
             give the client its own cores"
        ));
    }
    let of_host = host_difference(new, base, baseline.design).filter(|share| share.abs() > terms.noise_threshold);
    if let Some(difference) = of_host {
        let (percent, how) = (difference.abs() * 100.0, if difference > 0.0 { "slower" } else { "faster" });
        warnings.push(format!(
            "the machine was {percent:.1} % {how} than for the baseline, by a fixed piece of work before each pass: smaller changes \
             get no verdict"
        ));
    }
    let units = units(&pairs);
    let stopping = if is_sequential(new, base) { Stopping::Sequential } else { Stopping::Planned };
    let limits_differ = new.workload.goodput != base.workload.goodput;
    if limits_differ {
        let limits = |report: &Report| report.workload.goodput.clone().unwrap_or_else(|| "none".to_owned());
        warnings.push(format!(
            "the goodput limits differ ({}, but {} for the baseline): goodput is not compared",
            limits(new),
            limits(base)
        ));
    }
    let change = |metric: Metric| {
        if limits_differ && metric.quantity().is_of_goodput() {
            return None;
        }
        let floor = floors.and_then(|floors| floors.get(&metric).copied());
        let own = of_client.filter(|_| metric.point().is_none()).unwrap_or(0.0);
        let of_host = of_host.map_or(0.0, f64::abs);
        Some((metric, metric_change(metric, &units, (floor, own, of_host), stopping, terms)?))
    };
    let metrics = if why_not.is_empty() { Metric::all().filter_map(change).collect() } else { ByMetric::default() };
    let gated = || terms.gate.iter().filter(|metric| !metrics.contains_key(metric));
    // What was nothing can't have become less, nor is there a share of it.
    let was_nothing = |metric: &&Metric| metric.quantity().can_be_zero && was_zero(**metric, base);
    warnings.extend(
        gated()
            .filter(was_nothing)
            .map(|metric| format!("{metric} was 0 in the baseline: a relative change can't be computed")),
    );
    let of_others = |metric: &&Metric| limits_differ && metric.quantity().is_of_goodput();
    let gate = gated().filter(|metric| !was_nothing(metric) && !of_others(metric)).map(Metric::to_string);
    let unmeasured = if another_question { Vec::new() } else { gate.collect() };
    let why_not_is_empty = why_not.is_empty();
    let mut comparison = Comparison {
        baseline: baseline.name.clone(),
        baseline_commit: base.commit.clone(),
        baseline_started_at: base.started_at.clone(),
        comparable: why_not_is_empty,
        why_not,
        warnings,
        design: baseline.design,
        processes: new.server.instances.zip(base.server.instances),
        pairs: pairs.len(),
        pairs_of_processes: has_several_processes(&pairs).then_some(units.len()),
        sequential: stopping == Stopping::Sequential,
        noise_threshold: terms.noise_threshold,
        significance_level: terms.significance_level,
        confidence_level: terms.confidence_level,
        compared_together: 0,
        another_question,
        held_back: if why_not_is_empty { cache_reason(new, base) } else { None },
        provisional: floors.is_none() && baseline.design == Design::Apart,
        failures: (!another_question).then(|| failure_change(new, base)),
        unmeasured,
        metrics,
    };
    settle(&mut [&mut comparison]);
    comparison
}

/// Whether a metric was 0 in all passes.
fn was_zero(metric: Metric, report: &Report) -> bool {
    !report.passes.is_empty() && report.passes.iter().all(|pass| metric.of(pass) == Some(0.0))
}

/// Whether passes of either side went to several processes of its server.
fn has_several_processes(pairs: &[Pair]) -> bool {
    let differ = |of: fn(&Pair) -> Option<usize>| pairs.windows(2).any(|two| of(&two[0]) != of(&two[1]));
    differ(|pair| pair.0.instance) || differ(|pair| pair.1.instance)
}

/// Whether the passes of either run went on until they were enough.
fn is_sequential(new: &Report, base: &Report) -> bool {
    [new, base].iter().any(|report| report.stopping() == Stopping::Sequential)
}

/// The `(baseline, new)` values of a metric, by unit; what either pass did not measure is left out.
pub(super) fn values(metric: Metric, units: &[Vec<Pair>]) -> Vec<Vec<(f64, f64)>> {
    let of_unit = |unit: &Vec<Pair>| -> Vec<(f64, f64)> {
        unit.iter().filter_map(|(new, base)| metric.of(base).zip(metric.of(new))).collect()
    };
    units.iter().map(of_unit).filter(|values| !values.is_empty()).collect()
}

fn metric_change(
    metric: Metric,
    units: &[Vec<Pair>],
    (noise_floor, of_client, of_host): (Option<f64>, f64, f64),
    stopping: Stopping,
    terms: &Terms,
) -> Option<MetricChange> {
    let values = values(metric, units);
    let threshold = terms.noise_threshold.max(noise_floor.unwrap_or(0.0)).max(of_client).max(of_host);
    // A floor, the client or the machine may keep a change from being said; that there is none it can't prove. Where the machine
    // differs, nor can anything else.
    let (beyond, within) = (Threshold::new(threshold), (of_host == 0.0).then(|| Threshold::new(terms.noise_threshold)));
    let paired = paired_change(metric, &values, stopping);
    let pairs: usize = values.iter().map(Vec::len).sum();
    let change = match (&paired, values.as_slice()) {
        (Some(paired), _) => paired.change(),
        (None, [one]) => match one.as_slice() {
            [(base, new)] if *base > 0.0 && new.is_finite() => new / base - 1.0,
            _ => return None,
        },
        _ => return None,
    };
    let ends = paired.map(|paired| paired.interval(terms.confidence_level));
    let ends = ends.filter(|(lower, upper)| is_meant(metric, *lower) && upper.is_finite());
    let needed = paired.and_then(|paired| paired.units_needed(beyond, within, terms.significance_level));
    Some(MetricChange {
        change,
        lower: ends.map(|(lower, _)| lower),
        upper: ends.map(|(_, upper)| upper),
        p_value: paired.map(|paired| paired.p_beyond(beyond)),
        p_value_corrected: None,
        p_value_no_change: paired.map(|paired| within.map_or(1.0, |within| paired.p_within(within))),
        verdict: Verdict::Inconclusive,
        gated: terms.gate.contains(&metric),
        threshold,
        noise_floor,
        detectable_change: paired
            .map(|paired| paired.detectable(beyond, terms.significance_level))
            .filter(|change| change.is_finite()),
        passes_needed: needed.map(|units| (units * pairs).div_ceil(values.len())),
    })
}

/// Corrects for all comparisons of a run, and gives each its verdict: the gated metrics of all benchmarks among themselves,
/// since they decide, and all other metrics among themselves.
pub fn settle(comparisons: &mut [&mut Comparison]) {
    settle_failures(comparisons);
    for gated in [true, false] {
        let changes = |comparison: &Comparison| {
            let names = comparison.metrics.iter().filter(|(_, change)| change.gated == gated);
            names.filter_map(|(metric, change)| Some((*metric, change.p_value?))).collect::<Vec<_>>()
        };
        let family: Vec<(usize, Metric, f64)> = comparisons
            .iter()
            .enumerate()
            .flat_map(|(i, comparison)| changes(comparison).into_iter().map(move |(metric, p)| (i, metric, p)))
            .collect();
        let corrected = holm(&family.iter().map(|(.., p)| *p).collect::<Vec<_>>());
        for ((i, metric, _), p_corrected) in family.iter().zip(corrected) {
            let Some(change) = comparisons[*i].metrics.get_mut(metric) else { continue };
            change.p_value_corrected = Some(p_corrected);
        }
        for comparison in comparisons.iter_mut() {
            if gated {
                comparison.compared_together = family.len();
            }
            let (significance_level, held_back) = (comparison.significance_level, comparison.held_back.is_some());
            for (metric, change) in comparison.metrics.iter_mut().filter(|(_, change)| change.gated == gated) {
                let (Some(beyond), Some(within)) = (change.p_value_corrected, change.p_value_no_change) else {
                    continue;
                };
                if held_back {
                    continue;
                }
                change.verdict = Verdict::of(change.change, metric.better(), beyond, within, significance_level);
            }
        }
    }
}

/// Failures are a family of their own: a server that fails must not hide behind the correction for metrics that it spoils.
fn settle_failures(comparisons: &mut [&mut Comparison]) {
    let p_values: Vec<f64> = comparisons.iter().filter_map(|c| Some(c.failures.as_ref()?.p_value)).collect();
    let mut corrected = holm(&p_values).into_iter();
    for comparison in comparisons {
        let significance_level = comparison.significance_level;
        if let Some(failures) = &mut comparison.failures {
            failures.p_value_corrected = corrected.next().unwrap_or(1.0);
            failures.regressed = failures.p_value_corrected < significance_level;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        compare::calibrate,
        run::samples::{report, scale, set},
    };

    const OUTPUT: &str = "output_tokens_per_s";

    fn metric(name: &str) -> Metric {
        name.parse().unwrap()
    }

    fn terms() -> Terms {
        Terms {
            noise_threshold: 0.01,
            significance_level: 0.05,
            confidence_level: 0.95,
            gate: [OUTPUT, "ttft_p50"].map(metric).to_vec(),
        }
    }

    fn baseline(edit: impl FnOnce(&mut Value)) -> Baseline {
        Baseline { name: "b".to_owned(), report: report(edit), note: Some("a note".to_owned()), design: Design::Apart }
    }

    fn compared(edit: impl FnOnce(&mut Value)) -> Comparison {
        compare(&report(edit), &baseline(|_| ()), None, &terms())
    }

    fn floor(of: f64, edit: impl FnOnce(&mut Value)) -> Comparison {
        let mut calibration = calibrate(&report(|_| ()), report(|_| ()), 0.95);
        calibration.noise_floors.insert(metric(OUTPUT), of);
        compare(&report(edit), &baseline(|_| ()), Some(&calibration), &terms())
    }

    #[test]
    fn what_was_nothing_and_who_gave_it() {
        let nothing = report(|r| set(r, "good", 0.into()));
        assert!(was_zero(metric("goodput_rps"), &nothing) && !was_zero(metric("rpm"), &nothing));
        assert!(!was_zero(metric("goodput_rps"), &report(|r| r["passes"][0]["good"] = 0.into())));
        assert!(!was_zero(metric("goodput_rps"), &report(|r| r["passes"] = json!([]))));
        let from =
            |instances: [usize; 3]| report(|r| (0..3).for_each(|i| r["passes"][i]["instance"] = instances[i].into()));
        let several = |new: [usize; 3], base: [usize; 3]| {
            let (new, base) = (from(new), from(base));
            has_several_processes(&super::super::comparable::pairs(&new.passes, &base.passes).collect::<Vec<_>>())
        };
        assert!(several([0, 0, 1], [0, 0, 0]) && several([0, 0, 0], [0, 1, 1]) && !several([0, 0, 0], [1, 1, 1]));
        let stopped = |resolve: Value| report(|r| r["resolve"] = resolve);
        let [planned, resolved] = [Value::Null, 0.03.into()].map(stopped);
        assert!(
            is_sequential(&planned, &resolved)
                && is_sequential(&resolved, &planned)
                && !is_sequential(&planned, &planned)
        );
    }

    #[test]
    fn what_a_comparison_says() {
        let comparison = compared(|r| scale(r, &[OUTPUT], [0.9, 0.91, 0.89]));
        assert_eq!((comparison.pairs, comparison.compared_together, comparison.comparable), (3, 2, true));
        assert_eq!((&*comparison.baseline, &*comparison.baseline_started_at), ("b", "2026-01-01T00:00:00Z"));
        assert_eq!((comparison.warnings, comparison.provisional), (vec!["a note".to_owned()], true));
        let change = &comparison.metrics[&metric(OUTPUT)];
        assert!((change.change + 0.1).abs() < 1e-3, "{change:?}");
        assert!(change.lower < Some(-0.1) && change.upper > Some(-0.1) && change.upper < Some(-0.05), "{change:?}");
        assert_eq!((change.verdict, change.gated, change.threshold), (Verdict::Regressed, true, 0.01));
        // Holm: the smaller of two p-values is doubled.
        assert_eq!(change.p_value_corrected, change.p_value.map(|p| 2.0 * p));
        // Nobody has measured what the GPUs used.
        assert!(!comparison.metrics[&metric("rpm")].gated && comparison.metrics.len() == Metric::all().count() - 1);
    }

    #[test]
    fn what_the_clients_own_share_differs_by_is_no_change_of_a_rate() {
        let with = |share: Value, rate: f64, latency: f64| {
            compared(|r| {
                (0..3).for_each(|i| r["passes"][i]["client"]["share"] = share.clone());
                scale(r, &[OUTPUT], [rate; 3]);
                scale(r, &["ttft_s", "p50"], [latency; 3]);
            })
        };
        // The baseline's is 0.1 %.
        let found = with(0.051.into(), 0.97, 1.03);
        let of = |name: &str| &found.metrics[&metric(name)];
        assert_eq!((of(OUTPUT).verdict, of("ttft_p50").verdict), (Verdict::Inconclusive, Verdict::Regressed));
        assert!((of(OUTPUT).threshold - 0.05).abs() < 1e-9 && of("ttft_p50").threshold == 0.01, "{found:#?}");
        let expected = "the client's share of the time differs by 5.0 % between the two";
        assert!(found.warnings.iter().any(|warning| warning.starts_with(expected)), "{:?}", found.warnings);
        assert_eq!(with(0.051.into(), 0.9, 1.0).metrics[&metric(OUTPUT)].verdict, Verdict::Regressed);
        assert_eq!(with(0.051.into(), 1.0, 1.0).metrics[&metric(OUTPUT)].verdict, Verdict::NoChange);
        // Too little to matter, or unknown.
        for share in [0.009.into(), Value::Null] {
            let found = with(share, 0.97, 1.0);
            assert_eq!((found.metrics[&metric(OUTPUT)].verdict, found.warnings.len()), (Verdict::Regressed, 1));
        }
    }

    /// Of a server on this machine, what the machine's own speed differs by explains as much.
    #[test]
    fn a_machine_that_was_slower_explains_as_much() {
        let with = |url: &str, probes: [f64; 3], rate: f64| {
            let edit = |probes: [f64; 3], rate: f64| {
                move |r: &mut Value| {
                    r["server"]["url"] = url.into();
                    for (i, probe) in probes.into_iter().enumerate() {
                        r["passes"][i]["host"] = json!({"probe_s": probe, "others_cores": probe * 500.0});
                    }
                    scale(r, &[OUTPUT], [rate; 3]);
                }
            };
            let base = baseline(edit([1.0e-3, 1.01e-3, 0.99e-3], 1.0));
            compare(&report(edit(probes, rate)), &base, None, &terms())
        };
        let here = "http://127.0.0.1:1";
        let slow = [1.08e-3, 1.09e-3, 1.07e-3];
        let verdict = |found: &Comparison| found.metrics[&metric(OUTPUT)].verdict;
        for (probes, rate, expected) in [
            (slow, 0.95, Verdict::Inconclusive),
            (slow, 1.0, Verdict::Inconclusive),
            (slow, 0.9, Verdict::Regressed),
            // No more than what the machine wavers by.
            ([0.9e-3, 1.0e-3, 1.2e-3], 0.95, Verdict::Regressed),
            ([1.0e-3, 1.01e-3, 0.99e-3], 1.0, Verdict::NoChange),
        ] {
            assert_eq!(verdict(&with(here, probes, rate)), expected, "{probes:?} {rate}");
        }
        let found = with(here, slow, 0.95);
        for same in [&found, &with(here, slow, 1.0)] {
            assert_eq!(same.metrics[&metric(OUTPUT)].passes_needed, None, "no pass makes the machine the same");
        }
        let expected = "the machine was 8.0 % slower than for the baseline, by a fixed piece of work before each pass";
        assert!(found.warnings.iter().any(|warning| warning.starts_with(expected)), "{:?}", found.warnings);
        // Another machine's server does not care how fast this one is.
        assert_eq!(verdict(&with("http://h:1", slow, 0.95)), Verdict::Regressed);
        let busy = with(here, [2.0e-3, 2.01e-3, 1.99e-3], 0.4);
        let expected = "other processes used 1.0 cores of the machine, 0.5 for the baseline".to_owned();
        assert!(busy.warnings.contains(&expected) && verdict(&busy) == Verdict::Inconclusive, "{:?}", busy.warnings);
    }

    #[test]
    fn a_floor_keeps_a_change_from_being_said_and_proves_none() {
        let verdict =
            |of: f64, factors: [f64; 3]| floor(of, |r| scale(r, &[OUTPUT], factors)).metrics[&metric(OUTPUT)].clone();
        let inside = verdict(0.15, [0.9, 0.9, 0.9]);
        assert_eq!((inside.verdict, inside.threshold, inside.noise_floor), (Verdict::Inconclusive, 0.15, Some(0.15)));
        assert_eq!(inside.passes_needed, None);
        assert_eq!(verdict(0.15, [0.8, 0.8, 0.8]).verdict, Verdict::Regressed);
        assert_eq!(verdict(0.15, [1.2, 1.2, 1.2]).verdict, Verdict::Improved);
        assert_eq!(verdict(0.15, [1.0, 1.0, 1.0]).verdict, Verdict::NoChange);
        // One below the threshold changes nothing.
        assert_eq!(verdict(0.001, [0.99, 0.99, 0.99]).threshold, 0.01);
        assert!(!floor(0.15, |_| ()).provisional);
        let elsewhere = floor(0.15, |r| r["host"]["cores"] = 9.into());
        assert!(elsewhere.provisional);
        let why = "the noise floor that --calibrate found does not apply here: it was found on another host, linux with 2 cores of x";
        assert!(elsewhere.warnings.contains(&why.to_owned()), "{:?}", elsewhere.warnings);
    }

    #[test]
    fn what_could_not_be_compared_is_named() {
        for (edit, unmeasured) in [
            ((|r| set(r, "ttft_s", json!(null))) as fn(&mut Value), &["ttft_p50"][..]),
            (|r| scale(r, &["ttft_s", "p50"], [0.0; 3]), &["ttft_p50"]),
            (|r| set(r, "token_source", json!("client")), &[OUTPUT, "ttft_p50"]),
            (|r| r["server"]["model"] = "n".into(), &[]),
            (|_| (), &[]),
        ] {
            assert_eq!(compared(edit).unmeasured, unmeasured);
        }
        let other = compared(|r| r["server"]["model"] = "n".into());
        assert_eq!((other.comparable, other.another_question, other.failures), (false, true, None));
        let unanswered = compared(|r| set(r, "token_source", json!("client")));
        assert_eq!((unanswered.comparable, unanswered.another_question, unanswered.metrics.len()), (false, false, 0));
        assert!(unanswered.failures.is_some());
    }

    #[test]
    fn what_was_nothing_can_not_be_compared_and_fails_no_gate() {
        let gated = |gate: &str, new: fn(&mut Value), base: fn(&mut Value)| {
            let terms = Terms { gate: vec![metric(gate)], ..terms() };
            let found = compare(&report(new), &baseline(base), None, &terms);
            let said = found.warnings.iter().any(|warning| warning.contains(" was 0 in the baseline"));
            (found.unmeasured, said, found.metrics.contains_key(&metric(gate)))
        };
        let nothing: fn(&mut Value) = |r| set(r, "good", 0.into());
        let unknown: fn(&mut Value) = |r| set(r, "good", Value::Null);
        let limited: fn(&mut Value) = |r| r["workload"]["goodput"] = "ttft < 1 s".into();
        let no_latency: fn(&mut Value) = |r| scale(r, &["ttft_s", "p50"], [0.0; 3]);
        let limited_without_latency: fn(&mut Value) = |r| {
            r["workload"]["goodput"] = "ttft < 1 s".into();
            scale(r, &["ttft_s", "p50"], [0.0; 3]);
        };
        let goodput = || vec!["goodput_rps".to_owned()];
        assert_eq!(gated("goodput_rps", |_| (), |_| ()), (vec![], false, true));
        assert_eq!(gated("goodput_rps", |_| (), nothing), (vec![], true, false));
        assert_eq!(gated("goodput_rps", unknown, |_| ()), (goodput(), false, false));
        // A time of nothing is none.
        assert_eq!(gated("ttft_p50", |_| (), no_latency), (vec!["ttft_p50".to_owned()], false, false));
        // Of other limits, goodput is not compared at all, and all else is.
        assert_eq!(gated("goodput_rps", limited, |_| ()), (vec![], false, false));
        assert_eq!(gated("ttft_p50", limited, |_| ()), (vec![], false, true));
        let unmeasured = (vec!["ttft_p50".to_owned()], false, false);
        assert_eq!(gated("ttft_p50", limited_without_latency, |_| ()), unmeasured);
    }

    #[test]
    fn what_is_still_needed_is_whole_processes() {
        // Six passes: each process of the server has two of the same throughput, or there are three passes.
        let run = |values: &[f64], a_process: usize| {
            report(|r| {
                let pass = r["passes"][0].clone();
                let passes = values.iter().enumerate().map(|(seed, value)| {
                    let mut pass = pass.clone();
                    (pass["seed"], pass["digest"]) = (seed.into(), format!("sha256:{seed}").into());
                    (pass[OUTPUT], pass["instance"]) = ((*value).into(), (seed / a_process).into());
                    pass
                });
                r["passes"] = passes.collect();
            })
        };
        let of = |values: &[f64], a_process| {
            let base = Baseline { report: run(&vec![1.0; values.len()], a_process), ..baseline(|_| ()) };
            compare(&run(values, a_process), &base, None, &terms()).metrics[&metric(OUTPUT)].clone()
        };
        let (by_process, by_pass) = (of(&[0.95, 0.95, 1.01, 1.01, 0.96, 0.96], 2), of(&[0.95, 1.01, 0.96], 1));
        assert!(by_pass.passes_needed.is_some_and(|needed| needed > 6), "{by_pass:?}");
        assert_eq!(by_process.passes_needed, by_pass.passes_needed.map(|needed| 2 * needed));
        // So far apart that the interval ends nowhere, on either side or on one.
        for wild in [[1e-200, 1e200, 1.0], [1e-87, 1e-174, 1e-130], [1e130, 1e260, 1e195]] {
            let wild = of(&wild, 1);
            assert_eq!((wild.lower, wild.upper), (None, None));
        }
    }

    #[test]
    fn passes_that_went_on_until_they_were_enough_are_said() {
        assert!(compared(|r| r["resolve"] = 0.03.into()).sequential && !compared(|_| ()).sequential);
    }

    #[test]
    fn passes_without_a_partner() {
        let fewer = compared(|r| r["passes"][2]["seed"] = 7.into());
        assert_eq!(fewer.pairs, 2);
        assert_eq!(fewer.warnings[1], "1 pass has no counterpart with the same seed and is ignored");
        let one = compared(|r| {
            r["passes"].as_array_mut().unwrap().truncate(1);
            scale(r, &[OUTPUT], [0.5; 3]);
        });
        let change = &one.metrics[&metric(OUTPUT)];
        assert_eq!(
            (change.change, change.lower, change.p_value, change.verdict),
            (-0.5, None, None, Verdict::Inconclusive)
        );
        let alone = |value: f64| {
            move |r: &mut Value| {
                r["passes"].as_array_mut().unwrap().truncate(1);
                scale(r, &[OUTPUT], [value; 3]);
            }
        };
        let of = |new: f64, base: f64| {
            let comparison = compare(&report(alone(new)), &baseline(alone(base)), None, &terms());
            comparison.metrics.get(&metric(OUTPUT)).map(|change| change.change)
        };
        assert_eq!((of(1.0, 4.0), of(6.0, 4.0)), (Some(-0.75), Some(0.5)));
        // Of nothing there is no share.
        assert_eq!((of(1.0, 0.0), of(0.0, 0.0), of(0.0, 1.0)), (None, None, Some(-1.0)));
        let none = compared(|r| r["passes"].as_array_mut().unwrap().clear());
        assert_eq!((none.pairs, none.metrics.len()), (0, 0));
        let other_seeds = compared(|r| (0..3).for_each(|i| r["passes"][i]["seed"] = (i + 50).into()));
        assert_eq!((other_seeds.pairs, other_seeds.warnings.len()), (0, 1));
        assert_eq!(compared(|_| ()).warnings.len(), 1);
    }

    #[test]
    fn failures_are_compared_by_request() {
        let failing = |failed: u64, base: u64| {
            let edit = |n: u64| {
                move |r: &mut Value| {
                    set(r, "failed", json!(n));
                    set(r, "completed", json!(400 - n));
                }
            };
            let baseline = baseline(edit(base));
            compare(&report(edit(failed)), &baseline, None, &terms())
        };
        let failures = failing(20, 0).failures.unwrap();
        assert_eq!((failures.failed, failures.requests), (60, 1200));
        assert_eq!((failures.baseline_failed, failures.baseline_requests), (0, 1200));
        assert!(failures.regressed && failures.p_value < 1e-17, "{failures:?}");
        assert_eq!(failing(20, 0).regressions().collect::<Vec<_>>(), ["failed"]);
        for (new, base) in [(1, 0), (0, 0), (0, 20), (20, 20)] {
            let comparison = failing(new, base);
            assert!(!comparison.failures.as_ref().unwrap().regressed, "{new} {base}");
            assert_eq!(comparison.regressions().count(), 0, "{new} {base}");
        }
        // Corrected for one another.
        let mut all: Vec<Comparison> = (0..4).map(|_| failing(2, 0)).collect();
        assert!(all[0].failures.as_ref().unwrap().regressed);
        settle(&mut all.iter_mut().collect::<Vec<_>>());
        let failures = all[0].failures.as_ref().unwrap();
        assert!(
            (failures.p_value_corrected / failures.p_value - 4.0).abs() < 1e-9 && !failures.regressed,
            "{failures:?}"
        );
    }

    #[test]
    fn what_is_held_back_gets_no_verdict() {
        let cached = compared(|r| {
            set(r, "cached_tokens", json!(900));
            scale(r, &[OUTPUT], [4.0; 3]);
        });
        assert!(cached.held_back.is_some() && cached.comparable);
        assert!(cached.metrics.values().all(|change| change.verdict == Verdict::Inconclusive));
        assert_eq!(cached.gated(Verdict::Inconclusive).collect::<Vec<_>>(), [OUTPUT, "ttft_p50"].map(metric));
        // The cache of a run that is another question is nobody's business.
        let other = compared(|r| {
            set(r, "cached_tokens", json!(900));
            r["server"]["model"] = "n".into();
        });
        assert_eq!(other.held_back, None);
    }

    #[test]
    fn all_gated_metrics_of_a_run_are_corrected_together() {
        let slower = || compared(|r| scale(r, &[OUTPUT], [0.97, 0.963, 0.953]));
        let mut alone = slower();
        alone.metrics.retain(|other, _| *other == metric(OUTPUT));
        settle(&mut [&mut alone]);
        assert_eq!((alone.metrics[&metric(OUTPUT)].verdict, alone.compared_together), (Verdict::Regressed, 1));
        let (mut one, mut other) = (slower(), slower());
        settle(&mut [&mut one, &mut other]);
        assert_eq!((one.metrics[&metric(OUTPUT)].verdict, one.compared_together), (Verdict::Inconclusive, 4));
        assert_eq!(one.regressions().count(), 0);
        // What is not gated is corrected among itself, and has a verdict too.
        let rpm = &one.metrics[&metric("rpm")];
        assert!(rpm.p_value_corrected.is_some() && !rpm.gated);
        let rpm = compared(|r| scale(r, &["rpm"], [0.9; 3])).metrics[&metric("rpm")].clone();
        assert_eq!((rpm.verdict, rpm.gated), (Verdict::Regressed, false));
    }
}
