//! The statistics against an independent implementation, and against simulated runs whose truth is known.
//!
//! `cargo test --release --test statistics -- --nocapture` prints the tables of docs/statistics.md.

#![cfg(feature = "harness")]

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::Deserialize;
use tachometer::{
    internals::{PairedChange, Threshold, each, holm, interval, level_changes},
    metrics::Better,
    stats::{Stopping, Verdict},
};

#[derive(Deserialize)]
struct Golden {
    intervals: Vec<IntervalCase>,
    paired: Vec<PairedCase>,
    sequential: Vec<SequentialCase>,
    nested: Vec<NestedCase>,
    holm: Vec<HolmCase>,
}

#[derive(Debug, Deserialize)]
struct IntervalCase {
    values: Vec<f64>,
    level: f64,
    point: f64,
    lower: f64,
    upper: f64,
}

#[derive(Debug, Deserialize)]
struct PairedCase {
    base: Vec<f64>,
    new: Vec<f64>,
    threshold: f64,
    change: f64,
    lower: f64,
    upper: f64,
    p_beyond: f64,
    p_within: f64,
    detectable: f64,
    passes_needed: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct SequentialCase {
    base: Vec<f64>,
    new: Vec<f64>,
    threshold: f64,
    lower: Option<f64>,
    upper: Option<f64>,
    p_beyond: f64,
    p_within: f64,
}

#[derive(Debug, Deserialize)]
struct NestedCase {
    units: Vec<Vec<f64>>,
    point: f64,
    lower: f64,
    upper: f64,
}

#[derive(Debug, Deserialize)]
struct HolmCase {
    p_values: Vec<f64>,
    corrected: Vec<f64>,
}

/// What scipy and statsmodels say; fixtures/golden/make_statistics.py writes it.
fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/statistics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Equal to eight digits, or to what is left of twelve where a value is near 0.
#[track_caller]
fn near(got: f64, expected: f64, case: &dyn std::fmt::Debug) {
    assert!((got - expected).abs() <= 1e-8 * expected.abs() + 1e-12, "{got} is not {expected}: {case:?}");
}

#[test]
fn intervals_are_scipys() {
    for case in golden().intervals {
        let got = interval(&each(&case.values), case.level, Stopping::Planned).unwrap();
        let (lower, upper) = got.ends.unwrap();
        near(got.point, case.point, &case);
        near(lower, case.lower, &case);
        near(upper, case.upper, &case);
    }
    for none in [&[][..], &[1.0, 0.0], &[-1.0], &[f64::NAN], &[1.0, f64::INFINITY]] {
        assert_eq!(interval(&each(none), 0.95, Stopping::Planned), None);
    }
    // A single value is no interval.
    assert_eq!(interval(&each(&[5.0]), 0.95, Stopping::Planned).unwrap().ends, None);
}

#[test]
fn changes_and_their_p_values_are_scipys() {
    for case in golden().paired {
        let pairs: Vec<(f64, f64)> = case.base.iter().copied().zip(case.new.iter().copied()).collect();
        let got = PairedChange::of(&each(&pairs), Stopping::Planned).unwrap();
        let threshold = Threshold::new(case.threshold);
        let (lower, upper) = got.interval(0.95);
        near(got.change(), case.change, &case);
        near(lower, case.lower, &case);
        near(upper, case.upper, &case);
        near(got.p_beyond(threshold), case.p_beyond, &case);
        near(got.p_within(threshold), case.p_within, &case);
        let detectable = got.detectable(threshold, 0.05);
        assert!((detectable / case.detectable - 1.0).abs() < 1e-5, "{detectable}: {case:?}");
        assert_eq!(got.units_needed(threshold, Some(threshold), 0.05), case.passes_needed, "{case:?}");
        // The p-values say what the interval shows.
        assert_eq!(got.p_beyond(threshold) < 0.05, lower > case.threshold || upper < -case.threshold, "{case:?}");
        assert_eq!(got.p_within(threshold) < 0.05, lower > -case.threshold && upper < case.threshold, "{case:?}");
    }
    for none in [&[][..], &[(1.0, 2.0)], &[(1.0, 2.0), (0.0, 1.0)], &[(1.0, f64::NAN), (1.0, 1.0)]] {
        assert_eq!(PairedChange::of(&each(none), Stopping::Planned), None);
    }
}

/// A simulated history, and what Apache Otava finds in it; fixtures/golden/make_levels.py writes them.
#[derive(Debug, Deserialize)]
struct SimulatedHistory {
    kind: String,
    steps: Vec<usize>,
    values: Vec<f64>,
    otava: Vec<usize>,
    otava_3_percent: Vec<usize>,
}

#[test]
fn level_changes_are_otavas() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/levels.json");
    let histories: Vec<SimulatedHistory> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(histories.len(), 200);
    for case in &histories {
        let found = |min_magnitude| -> Vec<usize> {
            level_changes(&case.values, min_magnitude).iter().map(|change| change.at).collect()
        };
        assert_eq!((found(0.0), found(0.03)), (case.otava.clone(), case.otava_3_percent.clone()), "{case:?}");
    }
    // They are worth something: a step that is alone is found in 9 histories of 10, within two runs.
    let alone: Vec<&SimulatedHistory> = histories.iter().filter(|case| case.kind == "step").collect();
    let hit = alone.iter().filter(|case| case.otava.iter().any(|at| at.abs_diff(case.steps[0]) <= 2)).count();
    assert!(10 * hit >= 9 * alone.len(), "{hit} of {}", alone.len());
}

/// Against the Bayes factor as an integral over the noncentral t distribution.
#[test]
fn sequences_are_those_of_the_integral() {
    let close = |got: f64, expected: f64| (got - expected).abs() <= 1e-5 * expected.abs() + 1e-9;
    for case in golden().sequential {
        let pairs: Vec<(f64, f64)> = case.base.iter().copied().zip(case.new.iter().copied()).collect();
        let got = PairedChange::of(&each(&pairs), Stopping::Sequential).unwrap();
        let threshold = Threshold::new(case.threshold);
        assert!(close(got.p_beyond(threshold), case.p_beyond), "{}: {case:?}", got.p_beyond(threshold));
        assert!(close(got.p_within(threshold), case.p_within), "{}: {case:?}", got.p_within(threshold));
        let (lower, upper) = got.interval(0.95);
        match case.lower.zip(case.upper) {
            Some(ends) => assert!(close(lower, ends.0) && close(upper, ends.1), "{lower} {upper}: {case:?}"),
            None => assert!(upper.is_infinite() && got.detectable(threshold, 0.05).is_infinite(), "{case:?}"),
        }
    }
}

/// Against the analysis of variance.
#[test]
fn intervals_by_process_are_statsmodels() {
    for case in golden().nested {
        let got = interval(&case.units, 0.95, Stopping::Planned).unwrap();
        let (lower, upper) = got.ends.unwrap();
        near(got.point, case.point, &case);
        near(lower, case.lower, &case);
        near(upper, case.upper, &case);
    }
}

#[test]
fn holms_correction_is_statsmodels() {
    for case in golden().holm {
        let corrected = holm(&case.p_values);
        assert_eq!(corrected.len(), case.corrected.len());
        for (got, expected) in corrected.iter().zip(&case.corrected) {
            near(*got, *expected, &case);
        }
    }
    assert!(holm(&[]).is_empty());
}

/// Runs that repeat exactly have no noise, and everything can be said of them.
#[test]
fn changes_without_noise() {
    let threshold = Threshold::new(0.01);
    for (new, beyond, within, verdict) in
        [(1.0, 1.0, 0.0, Verdict::NoChange), (1.25, 0.0, 1.0, Verdict::Improved), (0.75, 0.0, 1.0, Verdict::Regressed)]
    {
        let change = PairedChange::of(&each(&[(1.0, new), (4.0, 4.0 * new)]), Stopping::Planned).unwrap();
        assert_eq!((change.p_beyond(threshold), change.p_within(threshold)), (beyond, within));
        assert_eq!(Verdict::of(change.change(), Better::Higher, beyond, within, 0.05), verdict);
        assert_eq!(change.units_needed(threshold, Some(threshold), 0.05), Some(2));
        // Where nothing may be shown to lie within, only a change has a number.
        let needed = (verdict != Verdict::NoChange).then_some(2);
        assert_eq!(change.units_needed(threshold, None, 0.05), needed);
    }
    // On the very edge nothing can be said, either way.
    let edge = PairedChange::of(&each(&[(1.0, 1.01), (4.0, 4.04)]), Stopping::Planned).unwrap();
    assert_eq!((edge.p_beyond(threshold), edge.p_within(threshold)), (1.0, 1.0));
}

const SETS: usize = 10_000;
const PASSES: [usize; 3] = [3, 5, 10];

/// Noise between passes: a factor around 1 with that spread.
type Noise = fn(&mut ChaCha8Rng, f64) -> f64;

fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

const NORMAL: Noise = |rng, spread| 1.0 + spread * normal(rng);
const LOG_NORMAL: Noise = |rng, spread| (spread * normal(rng)).exp();
/// Student's t with three degrees of freedom, scaled to that standard deviation.
const T3: Noise = |rng, spread| {
    let chi_square: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
    (spread * normal(rng) / (chi_square / 3.0).sqrt() / 3f64.sqrt()).exp()
};
/// One pass of ten is disturbed ten times as much.
const CONTAMINATED: Noise = |rng, spread| {
    let factor = if rng.random::<f64>() < 0.1 { 10.0 } else { 1.0 };
    (spread * factor * normal(rng)).exp()
};
/// Exponential on the logarithm, with its mean at 0: most passes a little fast, some much slower.
const SKEWED: Noise = |rng, spread| (spread * (-(1.0 - rng.random::<f64>()).ln() - 1.0)).exp();

/// The share of simulated runs of `n` passes whose interval covers the truth.
fn coverage(n: usize, spread: f64, noise: Noise) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    let covers = |rng: &mut ChaCha8Rng| {
        let values: Vec<f64> = (0..n).map(|_| 1000.0 * noise(rng, spread)).collect();
        let (lower, upper) = interval(&each(&values), 0.95, Stopping::Planned).unwrap().ends.unwrap();
        lower <= 1000.0 && 1000.0 <= upper
    };
    (0..SETS).filter(|_| covers(&mut rng)).count() as f64 / SETS as f64
}

/// The same for the change between two runs: prompts that move both by 10 %, noise that moves each by itself.
fn coverage_of_change(n: usize, spread: f64, noise: Noise) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(100 + n as u64);
    let covers = |rng: &mut ChaCha8Rng| {
        let (lower, upper) = simulate(rng, n, -0.05, |rng| noise(rng, spread)).interval(0.95);
        lower <= -0.05 && -0.05 <= upper
    };
    (0..SETS).filter(|_| covers(&mut rng)).count() as f64 / SETS as f64
}

fn simulate(rng: &mut ChaCha8Rng, n: usize, change: f64, noise: impl Fn(&mut ChaCha8Rng) -> f64) -> PairedChange {
    let pairs: Vec<(f64, f64)> = (0..n)
        .map(|_| {
            let prompts = 1000.0 * (0.1 * normal(rng)).exp();
            (prompts * noise(rng), prompts * (1.0 + change) * noise(rng))
        })
        .collect();
    PairedChange::of(&each(&pairs), Stopping::Planned).unwrap()
}

/// Where 0 is a value, the change is the ratio of means.
#[test]
fn what_can_be_zero_changes_by_the_ratio_of_means() {
    let of = |pairs: &[(f64, f64)]| PairedChange::of_means(&each(pairs), Stopping::Planned);
    // 17 of 30; residuals of 2/3 either way.
    let change = of(&[(10.0, 5.0), (20.0, 12.0)]).unwrap();
    assert!((change.change() - (17.0 / 30.0 - 1.0)).abs() < 1e-12);
    let half = 12.706_204_736 * (2.0 / 3.0) / 15.0;
    let (lower, upper) = change.interval(0.95);
    assert!(
        (lower - (change.change() - half).max(-1.0)).abs() < 1e-6 && (upper - (change.change() + half)).abs() < 1e-6
    );
    let threshold = Threshold::new(0.01);
    let tests = |change: PairedChange| (change.change(), change.p_beyond(threshold), change.p_within(threshold));
    assert_eq!(tests(of(&[(3.0, 0.0), (2.0, 0.0), (4.0, 0.0)]).unwrap()), (-1.0, 0.0, 1.0));
    assert_eq!(tests(of(&[(0.0, 0.0), (0.0, 0.0)]).unwrap()), (0.0, 1.0, 0.0));
    for none in
        [&[(0.0, 1.0), (0.0, 2.0)][..], &[(1.0, 1.0)], &[(1.0, -1.0), (1.0, 1.0)], &[(1.0, f64::NAN), (1.0, 1.0)]]
    {
        assert_eq!(of(none), None, "{none:?}");
    }
    // Some of it, none of it, in turn: a share of 200 requests that falls from 60 % to 30 %.
    println!("coverage of a change of good_share from 60 % to 30 %, 200 requests a pass: 3, 5, 10 pairs");
    for (n, least) in [(3, 0.93), (5, 0.93), (10, 0.93)] {
        let mut rng = ChaCha8Rng::seed_from_u64(n);
        let mut share = |p: f64| (0..200).filter(|_| rng.random::<f64>() < p).count() as f64 / 200.0;
        let mut covers = || {
            let pairs: Vec<(f64, f64)> = (0..n).map(|_| (share(0.6), share(0.3))).collect();
            let (lower, upper) = of(&pairs).unwrap().interval(0.95);
            lower <= -0.5 && -0.5 <= upper
        };
        let covered = (0..2000).filter(|_| covers()).count() as f64 / 2000.0;
        println!("  {n}: {:.1} %", 100.0 * covered);
        assert!((least..0.97).contains(&covered), "{n}: {covered}");
    }
}

#[test]
fn coverage_is_what_the_interval_says() {
    println!("coverage of the 95 % interval, {SETS} sets each: 3, 5, 10 passes; and of a change");
    let rows: [(&str, f64, Noise, bool); 8] = [
        ("normal, 1 %", 0.01, NORMAL, true),
        ("normal, 10 %", 0.1, NORMAL, true),
        ("log-normal, 1 %", 0.01, LOG_NORMAL, true),
        ("log-normal, 10 %", 0.1, LOG_NORMAL, true),
        ("log-normal, 50 %", 0.5, LOG_NORMAL, true),
        ("t with 3 degrees, 5 %", 0.05, T3, false),
        ("one pass of ten 10 times as noisy, 1 %", 0.01, CONTAMINATED, false),
        ("exponential, 5 %", 0.05, SKEWED, false),
    ];
    for (name, spread, noise, promised) in rows {
        let plain = PASSES.map(|n| coverage(n, spread, noise));
        let change = PASSES.map(|n| coverage_of_change(n, spread, noise));
        println!("{name}: {plain:.3?} {change:.3?}");
        for covered in plain.iter().chain(&change).filter(|_| promised) {
            assert!((0.93..=0.97).contains(covered), "{name}: {plain:?} {change:?}");
        }
    }
}

/// At the very edge of the threshold, the worst case, each wrong verdict is as rare as its level says.
#[test]
fn wrong_verdicts_are_as_rare_as_the_level() {
    let threshold = Threshold::new(0.01);
    for n in PASSES {
        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        let noise = |rng: &mut ChaCha8Rng| LOG_NORMAL(rng, 0.005);
        let mut count = |change: f64, said: fn(&PairedChange, Threshold) -> bool| {
            (0..SETS).filter(|_| said(&simulate(&mut rng, n, change, noise), threshold)).count() as f64 / SETS as f64
        };
        let beyond = |change: &PairedChange, threshold| change.p_beyond(threshold) < 0.05;
        let within = |change: &PairedChange, threshold| change.p_within(threshold) < 0.05;
        let (edge, none, outside) = (count(0.01, beyond), count(0.0, beyond), count(0.01, within));
        println!(
            "{n} passes: beyond at the edge {edge:.3}, beyond without a change {none:.4}, within at the edge {outside:.3}"
        );
        assert!(edge < 0.03 && none < 0.01 && outside < 0.03, "{n} passes: {edge} {none} {outside}");
        assert!(edge > 0.02, "{n} passes: {edge}: a test that never says anything is none");
    }
}

/// Four metrics, all of them at the edge of the threshold.
#[test]
fn holm_keeps_any_wrong_verdict_rare() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let threshold = Threshold::new(0.01);
    let mut any = |corrected: bool| {
        let wrong = |rng: &mut ChaCha8Rng| {
            let p: Vec<f64> =
                (0..4).map(|_| simulate(rng, 5, 0.01, |rng| LOG_NORMAL(rng, 0.005)).p_beyond(threshold)).collect();
            let p = if corrected { holm(&p) } else { p };
            p.iter().any(|p| *p < 0.05)
        };
        (0..SETS).filter(|_| wrong(&mut rng)).count() as f64 / SETS as f64
    };
    let (with, without) = (any(true), any(false));
    println!("any of four wrong at the edge: {with:.3} with Holm's correction, {without:.3} without");
    assert!(with < 0.05 && without > with, "{with} {without}");
}

/// A change of the size that `detectable` names is found four times of five.
#[test]
fn what_is_detectable_is_detected() {
    let threshold = Threshold::new(0.01);
    for n in PASSES {
        // A run whose spread is exactly that of the noise.
        let scores: Vec<f64> = (0..n).map(|i| i as f64 - (n - 1) as f64 / 2.0).collect();
        let deviation = (scores.iter().map(|score| score * score).sum::<f64>() / (n - 1) as f64).sqrt();
        let typical: Vec<(f64, f64)> =
            scores.iter().map(|score| (1.0, (score / deviation * 0.005 * 2f64.sqrt()).exp())).collect();
        let detectable = PairedChange::of(&each(&typical), Stopping::Planned).unwrap().detectable(threshold, 0.05);

        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        let noise = |rng: &mut ChaCha8Rng| LOG_NORMAL(rng, 0.005);
        let mut found = || simulate(&mut rng, n, detectable, noise).p_beyond(threshold) < 0.05;
        let share = (0..SETS).filter(|_| found()).count() as f64 / SETS as f64;
        println!("{n} passes: a change of {:.2} % is detectable, and was found in {share:.3}", detectable * 100.0);
        assert!((0.785..0.815).contains(&share), "{n} passes: {share}");
    }
}

/// What the passes of a run do not show: a run-level spread of 1 % makes changes out of nothing.
#[test]
fn a_spread_between_runs_is_in_no_p_value_of_theirs() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let threshold = Threshold::new(0.01);
    let mut wrong = |between: f64| {
        let said = |rng: &mut ChaCha8Rng| {
            let (base, new) = (LOG_NORMAL(rng, between), LOG_NORMAL(rng, between));
            let pairs: Vec<(f64, f64)> =
                (0..5).map(|_| (base * LOG_NORMAL(rng, 0.002), new * LOG_NORMAL(rng, 0.002))).collect();
            PairedChange::of(&each(&pairs), Stopping::Planned).unwrap().p_beyond(threshold) < 0.05
        };
        (0..SETS).filter(|_| said(&mut rng)).count() as f64 / SETS as f64
    };
    let (with, without) = (wrong(0.01), wrong(0.0));
    println!("identical runs called regressed or improved: {with:.3} with 1 % between runs, {without:.4} without");
    assert!((0.33..0.38).contains(&with) && without < 0.001, "{with} {without}");
}

/// Noise of a pair of passes: of the base and of the new one, at the time at which each was made, and of their processes.
struct Disturbance {
    name: &'static str,
    of_pass: Noise,
    /// The machine's speed walks by this from a pass to the next, and it gets slower by as much.
    drift: f64,
}

const DISTURBANCES: [Disturbance; 3] = [
    Disturbance { name: "normal", of_pass: NORMAL, drift: 0.0 },
    Disturbance { name: "log-normal", of_pass: LOG_NORMAL, drift: 0.0 },
    Disturbance { name: "drifting", of_pass: LOG_NORMAL, drift: 0.01 },
];

/// Most pairs of processes of a simulated comparison, and pairs of passes of each.
const MOST: usize = 20;
const A_PROCESS: usize = 2;

/// Comparisons of a sequential test; debug builds are slow.
const SEQUENCES: usize = if cfg!(debug_assertions) { 500 } else { SETS };

/// A comparison in turn, ABBA, of processes that differ by `between`; a unit each.
fn in_turn(rng: &mut ChaCha8Rng, change: f64, between: f64, disturbance: &Disturbance) -> Vec<Vec<(f64, f64)>> {
    let mut speed = 1000.0;
    (0..MOST)
        .map(|_| {
            let processes = [1.0, 1.0 + change].map(|of| of * LOG_NORMAL(rng, between));
            let mut turn = |turn: usize| {
                let mut values = [0.0; 2];
                for side in [turn % 2, 1 - turn % 2] {
                    speed *= (disturbance.drift * (normal(rng) - 1.0)).exp();
                    values[side] = speed * processes[side] * (disturbance.of_pass)(rng, 0.015);
                }
                (values[0], values[1])
            };
            (0..A_PROCESS).map(&mut turn).collect()
        })
        .collect()
}

/// How a comparison that looks after each unit ends, and after how many.
fn sequentially(units: &[Vec<(f64, f64)>], threshold: Threshold) -> (Verdict, usize) {
    for n in 2..=units.len() {
        let change = PairedChange::of(&units[..n], Stopping::Sequential).unwrap();
        let (beyond, within) = (change.p_beyond(threshold), change.p_within(threshold));
        let verdict = Verdict::of(change.change(), Better::Higher, beyond, within, 0.05);
        if verdict != Verdict::Inconclusive {
            return (verdict, n);
        }
    }
    (Verdict::Inconclusive, units.len())
}

/// However often it is looked, each wrong verdict is as rare as its level says; and what that costs, beside a number of units that is
/// fixed before.
#[test]
fn looking_after_every_pass_makes_no_verdict_wrong() {
    let threshold = Threshold::new(0.03);
    let right = |verdict: Verdict, change: f64| match verdict {
        Verdict::NoChange => change.abs() < 0.03,
        Verdict::Improved => change > 0.03,
        Verdict::Regressed => change < -0.03,
        Verdict::Inconclusive => false,
    };
    println!("a threshold of 3 %, up to {MOST} pairs of processes of {A_PROCESS} passes, {SEQUENCES} comparisons each");
    for disturbance in &DISTURBANCES {
        for between in [0.0, 0.02] {
            for change in [0.0, -0.03, -0.05, -0.1] {
                let mut rng = ChaCha8Rng::seed_from_u64(5);
                let runs: Vec<_> = (0..SEQUENCES).map(|_| in_turn(&mut rng, change, between, disturbance)).collect();
                let ends: Vec<(Verdict, usize)> = runs.iter().map(|units| sequentially(units, threshold)).collect();
                let share = |of: &dyn Fn(Verdict) -> bool| {
                    ends.iter().filter(|(verdict, _)| of(*verdict)).count() as f64 / SEQUENCES as f64
                };
                let changed = |verdict| matches!(verdict, Verdict::Regressed | Verdict::Improved);
                let false_change = share(&|verdict| changed(verdict) && !right(verdict, change));
                let false_none = share(&|verdict| verdict == Verdict::NoChange && !right(verdict, change));
                let found = share(&|verdict| right(verdict, change));
                let mean = ends.iter().map(|(_, n)| n).sum::<usize>() as f64 / SEQUENCES as f64;
                // The least number that, fixed before, finds it as often.
                let as_often = |n: &usize| {
                    let verdict = |units: &Vec<Vec<(f64, f64)>>| {
                        let paired = PairedChange::of(&units[..*n], Stopping::Planned).unwrap();
                        let (beyond, within) = (paired.p_beyond(threshold), paired.p_within(threshold));
                        Verdict::of(paired.change(), Better::Higher, beyond, within, 0.05)
                    };
                    let found_so = runs.iter().filter(|units| right(verdict(units), change)).count();
                    found_so as f64 / SEQUENCES as f64 >= found
                };
                let fixed = (2..=MOST).find(as_often).filter(|_| found > 0.0);
                let (name, percent) = (disturbance.name, change * 100.0);
                println!(
                    "{name}, {:.0} % between processes, change {percent:+.0} %: false change {false_change:.4}, false no change \
                     {false_none:.4}, right {found:.3} in {mean:.1} pairs; fixed {fixed:?}",
                    between * 100.0
                );
                assert!(false_change <= 0.05 && false_none <= 0.05, "{name} {between} {change}");
            }
        }
    }
}

/// The interval of processes that were started several times covers what passes alone do not.
#[test]
fn intervals_hold_what_processes_differ_by() {
    let cover = |by_process: bool| {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let covers = |rng: &mut ChaCha8Rng| {
            let units = in_turn(rng, 0.0, 0.02, &DISTURBANCES[1]);
            let pairs: Vec<(f64, f64)> = units[..5].iter().flatten().copied().collect();
            let units = if by_process { units[..5].to_vec() } else { each(&pairs) };
            let (lower, upper) = PairedChange::of(&units, Stopping::Planned).unwrap().interval(0.95);
            lower <= 0.0 && 0.0 <= upper
        };
        (0..SETS).filter(|_| covers(&mut rng)).count() as f64 / SETS as f64
    };
    let (by_process, by_pass) = (cover(true), cover(false));
    println!("coverage of 95 % intervals, 5 pairs of processes: {by_process:.3} by process, {by_pass:.3} by pass");
    assert!((0.93..=0.97).contains(&by_process) && by_pass < 0.92, "{by_process} {by_pass}");
}
