//! The statistics against an independent implementation, and against simulated runs whose truth is known.
//!
//! `cargo test --release --test statistics -- --nocapture` prints the tables of docs/statistics.md.

#![cfg(feature = "harness")]

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::Deserialize;
use tachometer::{
    internals::{PairedChange, Threshold, holm, interval},
    metrics::Better,
    stats::Verdict,
};

#[derive(Deserialize)]
struct Golden {
    intervals: Vec<IntervalCase>,
    paired: Vec<PairedCase>,
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
        let got = interval(&case.values, case.level).unwrap();
        let (lower, upper) = got.ends.unwrap();
        near(got.point, case.point, &case);
        near(lower, case.lower, &case);
        near(upper, case.upper, &case);
    }
    for none in [&[][..], &[1.0, 0.0], &[-1.0], &[f64::NAN], &[1.0, f64::INFINITY]] {
        assert_eq!(interval(none, 0.95), None);
    }
    // A single value is no interval.
    assert_eq!(interval(&[5.0], 0.95).unwrap().ends, None);
}

#[test]
fn changes_and_their_p_values_are_scipys() {
    for case in golden().paired {
        let pairs: Vec<(f64, f64)> = case.base.iter().copied().zip(case.new.iter().copied()).collect();
        let got = PairedChange::of(&pairs).unwrap();
        let threshold = Threshold::new(case.threshold);
        let (lower, upper) = got.interval(0.95);
        near(got.change(), case.change, &case);
        near(lower, case.lower, &case);
        near(upper, case.upper, &case);
        near(got.p_beyond(threshold), case.p_beyond, &case);
        near(got.p_within(threshold), case.p_within, &case);
        let detectable = got.detectable(threshold, 0.05);
        assert!((detectable / case.detectable - 1.0).abs() < 1e-5, "{detectable}: {case:?}");
        assert_eq!(got.passes_needed(threshold, threshold, 0.05), case.passes_needed, "{case:?}");
        // The p-values say what the interval shows.
        assert_eq!(got.p_beyond(threshold) < 0.05, lower > case.threshold || upper < -case.threshold, "{case:?}");
        assert_eq!(got.p_within(threshold) < 0.05, lower > -case.threshold && upper < case.threshold, "{case:?}");
    }
    for none in [&[][..], &[(1.0, 2.0)], &[(1.0, 2.0), (0.0, 1.0)], &[(1.0, f64::NAN), (1.0, 1.0)]] {
        assert_eq!(PairedChange::of(none), None);
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
        let change = PairedChange::of(&[(1.0, new), (4.0, 4.0 * new)]).unwrap();
        assert_eq!((change.p_beyond(threshold), change.p_within(threshold)), (beyond, within));
        assert_eq!(Verdict::of(change.change(), Better::Higher, beyond, within, 0.05), verdict);
        assert_eq!(change.passes_needed(threshold, threshold, 0.05), Some(2));
    }
    // On the very edge nothing can be said, either way.
    let edge = PairedChange::of(&[(1.0, 1.01), (4.0, 4.04)]).unwrap();
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
        let (lower, upper) = interval(&values, 0.95).unwrap().ends.unwrap();
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
    PairedChange::of(&pairs).unwrap()
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
        let detectable = PairedChange::of(&typical).unwrap().detectable(threshold, 0.05);

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
            PairedChange::of(&pairs).unwrap().p_beyond(threshold) < 0.05
        };
        (0..SETS).filter(|_| said(&mut rng)).count() as f64 / SETS as f64
    };
    let (with, without) = (wrong(0.01), wrong(0.0));
    println!("identical runs called regressed or improved: {with:.3} with 1 % between runs, {without:.4} without");
    assert!((0.33..0.38).contains(&with) && without < 0.001, "{with} {without}");
}
