//! Where a series of runs changes its level: E-divisive means with Student's t tests, in windows, as Apache Otava has it.
//!
//! The divergence is that of Matteson and James (2014, <https://arxiv.org/abs/1306.4933>) with α = 1. Windows, the t test in place of
//! permutations, and the merging are those of Fleming et al. (Hunter, 2023, <https://doi.org/10.1145/3578244.3583719>), which goes on as
//! Apache Otava; `fixtures/golden/levels.json` holds what Otava 0.8.0 finds in 200 histories. The unit of replication is the run.

use super::student::t_above;

/// A series has another level from a run on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelChange {
    /// The first run of the new level, counted from 0.
    pub at: usize,
    /// Mean of the runs since the change before.
    pub before: f64,
    /// Mean of the runs up to the next change.
    pub after: f64,
    /// Of Student's t test between the two, two-sided.
    pub p_value: f64,
}

impl LevelChange {
    /// As a share of the level before.
    pub fn change(&self) -> f64 {
        self.after / self.before - 1.0
    }
}

/// So many runs are looked at together.
const WINDOW: usize = 50;
/// A change is kept where its p-value is below this.
const P_VALUE: f64 = 0.001;
/// Windows propose changes up to ten times that.
const WEAK_P_VALUE: f64 = 10.0 * P_VALUE;

/// The changes of level in a series, in order; none of a share below `min_magnitude`, seen from either side.
pub fn level_changes(series: &[f64], min_magnitude: f64) -> Vec<LevelChange> {
    let mut kept = merged(weak(series), series, min_magnitude);
    kept.sort_unstable();
    let tested = |i: usize| {
        let (left, right) = sides(&kept, i, series);
        let test = Test::of(left, right);
        LevelChange { at: kept[i], before: test.means.0, after: test.means.1, p_value: test.p_value }
    };
    (0..kept.len()).map(tested).collect()
}

/// What windows propose: each begins at the last change of the one before it, or half a window on.
fn weak(series: &[f64]) -> Vec<usize> {
    let mut all: Vec<usize> = Vec::new();
    let mut start = 0;
    while start < series.len() {
        let window = &series[start..series.len().min(start + WINDOW)];
        let found: Vec<usize> = divided(window).into_iter().map(|at| start + at).collect();
        start = (start + WINDOW / 2).max(found.last().copied().unwrap_or(0));
        all.extend(found);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The changes within a window: the greatest divergence of all pieces divides one, as long as it is significant.
fn divided(window: &[f64]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    loop {
        let ends = |i: usize| {
            let begin = if i == 0 { 0 } else { found[i - 1] };
            (begin, found.get(i).copied().unwrap_or(window.len()))
        };
        let pieces = (0..=found.len()).map(ends).filter(|(begin, end)| end - begin > 1);
        let best = pieces.fold(None, |best: Option<(f64, usize, (usize, usize))>, (begin, end)| {
            let (divergence, at) = greatest_divergence(&window[begin..end]);
            match best {
                Some(best) if best.0 >= divergence => Some(best),
                _ => Some((divergence, begin + at, (begin, end))),
            }
        });
        let Some((_, at, (begin, end))) = best else { return found };
        if Test::of(&window[begin..at], &window[at..end]).p_value > WEAK_P_VALUE {
            return found;
        }
        found.push(at);
        found.sort_unstable();
    }
}

/// The greatest divergence between a beginning of the values and what follows it, up to anywhere; and where that begins.
fn greatest_divergence(values: &[f64]) -> (f64, usize) {
    let distance = |a: usize, b: usize| (values[a] - values[b]).abs();
    // Distances of each value to those before it, summed up.
    let to_earlier: Vec<Vec<f64>> = (0..values.len())
        .map(|j| {
            let sums = (0..j).scan(0.0, |sum, i| {
                *sum += distance(i, j);
                Some(*sum)
            });
            std::iter::once(0.0).chain(sums).collect()
        })
        .collect();
    let mut best = (f64::NEG_INFINITY, 1);
    let mut within_left = 0.0;
    for split in 1..values.len() {
        within_left += to_earlier[split - 1][split - 1];
        let (mut across, mut within_right) = (0.0, 0.0);
        for end in split + 1..=values.len() {
            let last = &to_earlier[end - 1];
            across += last[split];
            within_right += last[end - 1] - last[split];
            let (left, right) = (split as f64, (end - split) as f64);
            let mean_within = |sum: f64, n: f64, other: f64| match n > 1.0 {
                true => other * sum / (n - 1.0),
                false => 0.0,
            };
            let within = mean_within(within_left, left, right) + mean_within(within_right, right, left);
            let divergence = 2.0 / (left + right) * (across - within);
            if divergence > best.0 {
                best = (divergence, split);
            }
        }
    }
    best
}

/// Takes back the weakest change, one after the other, until all are significant and great enough.
///
/// Where one is taken back, the two that follow it are tested anew, and the one before it is not: this is what Otava does.
fn merged(mut changes: Vec<usize>, series: &[f64], min_magnitude: f64) -> Vec<usize> {
    let test = |changes: &[usize], i: usize| {
        let (left, right) = sides(changes, i, series);
        Test::of(left, right)
    };
    let mut tests: Vec<Test> = (0..changes.len()).map(|i| test(&changes, i)).collect();
    loop {
        let first_of = |better: &dyn Fn(&Test, &Test) -> bool| {
            (0..tests.len()).reduce(|best, i| if better(&tests[i], &tests[best]) { i } else { best })
        };
        let Some(mut weakest) = first_of(&|a, b| a.p_value > b.p_value) else { return changes };
        if tests[weakest].p_value < P_VALUE {
            weakest = first_of(&|a, b| a.magnitude() < b.magnitude()).unwrap_or(weakest);
            if tests[weakest].magnitude() > min_magnitude {
                return changes;
            }
        }
        changes.remove(weakest);
        tests.remove(weakest);
        for i in (weakest..changes.len()).take(2) {
            tests[i] = test(&changes, i);
        }
    }
}

/// What lies before a change and after it, up to its neighbours.
fn sides<'a>(changes: &[usize], i: usize, series: &'a [f64]) -> (&'a [f64], &'a [f64]) {
    let begin = if i == 0 { 0 } else { changes[i - 1] };
    let end = changes.get(i + 1).copied().unwrap_or(series.len());
    (&series[begin..changes[i]], &series[changes[i]..end])
}

/// Student's t test with one variance, from means and deviations; the deviations are those of the values themselves (divided by n), as
/// Otava hands them over.
struct Test {
    means: (f64, f64),
    p_value: f64,
}

impl Test {
    fn of(left: &[f64], right: &[f64]) -> Self {
        let n = |side: &[f64]| side.len() as f64;
        let mean = |side: &[f64]| side.iter().sum::<f64>() / n(side);
        let variance = |side: &[f64], mean: f64| side.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n(side);
        let means = (mean(left), mean(right));
        let freedom = n(left) + n(right) - 2.0;
        let pooled =
            ((n(left) - 1.0) * variance(left, means.0) + (n(right) - 1.0) * variance(right, means.1)) / freedom;
        let t = (means.0 - means.1) / (pooled * (1.0 / n(left) + 1.0 / n(right))).sqrt();
        // Two values alone, and equal ones, say nothing.
        let p_value = match t.abs() {
            t if t.is_nan() || freedom <= 0.0 => 1.0,
            f64::INFINITY => 0.0,
            t => 2.0 * t_above(t, freedom),
        };
        Self { means, p_value }
    }

    /// The change as a share of either level, whichever is more.
    fn magnitude(&self) -> f64 {
        let share = |from: f64, to: f64| if from == 0.0 { 0.0 } else { (to / from - 1.0).abs() };
        share(self.means.0, self.means.1).max(share(self.means.1, self.means.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 % of noise that repeats no pattern of a level.
    fn noisy(levels: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let noise = |i: usize| 1.0 + 0.01 * ((i * 7 + i * i * 3) % 11) as f64 / 11.0;
        levels.into_iter().enumerate().map(|(i, level)| level * noise(i)).collect()
    }

    fn places(series: &[f64], min_magnitude: f64) -> Vec<usize> {
        level_changes(series, min_magnitude).iter().map(|change| change.at).collect()
    }

    #[test]
    fn levels() {
        let steps = |all: &[(usize, f64)]| noisy(all.iter().flat_map(|(n, level)| std::iter::repeat_n(*level, *n)));
        let table: &[(&[(usize, f64)], f64, &[usize])] = &[
            (&[], 0.0, &[]),
            (&[(1, 5.0)], 0.0, &[]),
            (&[(80, 5.0)], 0.0, &[]),
            (&[(12, 5.0), (12, 5.5)], 0.0, &[12]),
            // In other windows, and one after the other.
            (&[(70, 5.0), (20, 4.5), (40, 5.0)], 0.0, &[70, 90]),
            // A step of 10 % is none where 15 % are asked for; one that goes back comes to nothing then.
            (&[(12, 5.0), (12, 5.5)], 0.15, &[]),
            (&[(12, 5.0), (12, 5.5), (12, 9.0)], 0.15, &[24]),
        ];
        for (all, min_magnitude, expected) in table {
            assert_eq!(places(&steps(all), *min_magnitude), *expected, "{all:?}");
        }
        let change = level_changes(&steps(&[(12, 5.0), (12, 5.5)]), 0.0)[0];
        assert!((change.change() - 0.1).abs() < 0.005 && change.p_value < 1e-9, "{change:?}");
    }

    #[test]
    fn equal_values_and_zeros_have_no_level_of_their_own() {
        for series in [[1.0; 60], [0.0; 60]] {
            assert_eq!(level_changes(&series, 0.0), []);
        }
        let step: Vec<f64> = [[1.0; 10], [1.5; 10]].concat();
        assert_eq!(places(&step, 0.0), [10]);
        // A step that is just as great as the least is none.
        assert_eq!((places(&step, 0.49), places(&step, 0.5)), (vec![10], vec![]));
    }

    /// What is there is found from the front and from the back alike.
    #[test]
    fn an_outlier_is_no_level() {
        let mut series = noisy([5.0; 60]);
        series[30] = 50.0;
        assert!(places(&series, 0.01).is_empty());
    }
}
