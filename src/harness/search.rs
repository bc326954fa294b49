//! The search for the most load that holds the objectives: which load to try next, and what that comes to.
//!
//! Loads are doubled, a pass each, until one breaks an objective; the gap between is halved geometrically, with as many passes at each load
//! as it takes; and both ends are measured once more, with other prompts. What is found is a bracket, not a number.

use crate::stats::State;

/// Where to search, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Where to begin.
    pub start: f64,
    /// No lower.
    pub least: f64,
    /// No higher.
    pub most: f64,
    /// How far apart the ends may be, as a share.
    pub precision: f64,
    /// Whether loads are whole numbers.
    pub whole: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// One pass at this load, for a first look.
    Look(f64),
    /// Passes at this load until it is decided.
    Decide(f64),
    /// The same once more, with other prompts.
    Verify(f64),
}

impl Step {
    /// The load.
    pub fn load(self) -> f64 {
        match self {
            Self::Look(load) | Self::Decide(load) | Self::Verify(load) => load,
        }
    }
}

/// What was found at a load.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    load: f64,
    /// Of one pass: no more than a hint.
    looked: Option<State>,
    decided: Option<State>,
    verified: Option<State>,
}

impl Point {
    /// What is known best.
    fn state(&self) -> State {
        self.verified.or(self.decided).or(self.looked).unwrap_or(State::Undecided)
    }

    fn is_decided(&self) -> bool {
        self.decided.or(self.verified).is_some()
    }
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: Bounds,
    /// By load.
    points: Vec<Point>,
    /// Steps so far.
    steps: usize,
}

/// A search that has not ended after so many steps never does: the server is another each time.
const MOST_STEPS: usize = 80;

/// What a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The highest load that held.
    pub highest_met: Option<f64>,
    /// The lowest load above it that did not.
    pub lowest_missed: Option<f64>,
    /// Loads between, of which neither could be said.
    pub undecided: Vec<f64>,
    /// Loads that did not hold below others that did.
    pub not_monotonic: Vec<f64>,
    /// Whether both ends were measured twice, and held to what they were.
    pub is_verified: bool,
}

impl Search {
    /// Nothing is known yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, points: Vec::new(), steps: 0 }
    }

    /// The next step; `None` where the search is over.
    pub fn next(&self) -> Option<Step> {
        if self.steps >= MOST_STEPS {
            return None;
        }
        let (low, high) = self.ends();
        let (low, high) = match (low, high) {
            (None, None) if self.points.is_empty() => return Some(Step::Look(self.rounded(self.bounds.start))),
            // Nothing but what can't be told: down, where it can.
            (None, None) => return self.down(self.points.first()?),
            // From the lowest of all: what can't be told may lie below what does not hold.
            (None, Some(high)) => {
                let open = (!high.is_decided()).then_some(Step::Decide(high.load));
                return self.down(self.points.first()?).or(open);
            }
            (Some(low), None) => return self.up(&low),
            (Some(low), Some(high)) => (low, high),
        };
        let between: Vec<f64> =
            self.points.iter().map(|point| point.load).filter(|load| low.load < *load && *load < high.load).collect();
        // Loads of which nothing could be said stay; the gaps on both sides of them are narrowed.
        let gaps = match (between.first(), between.last()) {
            (Some(first), Some(last)) => vec![(low.load, *first), (*last, high.load)],
            _ => vec![(low.load, high.load)],
        };
        let widest =
            gaps.into_iter().filter(|gap| self.is_wide(*gap)).max_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        if let Some((below, above)) = widest {
            return Some(Step::Decide(self.rounded((below * above).sqrt())));
        }
        let open = [low, high].into_iter().find(|point| !point.is_decided()).map(|point| Step::Decide(point.load));
        let unverified =
            || [low, high].into_iter().find(|p| p.verified.is_none()).map(|point| Step::Verify(point.load));
        open.or_else(unverified)
    }

    /// Takes what a step gave.
    pub fn note(&mut self, step: Step, state: State) {
        self.steps += 1;
        let load = step.load();
        let at = self.points.partition_point(|point| point.load < load);
        if self.points.get(at).is_none_or(|point| point.load > load) {
            self.points.insert(at, Point { load, looked: None, decided: None, verified: None });
        }
        let point = &mut self.points[at];
        match step {
            Step::Look(_) => point.looked = Some(state),
            Step::Decide(_) => point.decided = Some(state),
            // Where two looks at the same load disagree, nothing can be said of it.
            Step::Verify(_) if point.decided.is_some_and(|decided| decided != state) => {
                point.verified = Some(State::Undecided);
            }
            Step::Verify(_) => point.verified = Some(state),
        }
    }

    /// What is known now.
    pub fn found(&self) -> Found {
        let (low, high) = self.ends();
        let met = |point: &Point| point.state() == State::Met;
        let decided = |point: Option<Point>| point.filter(Point::is_decided).map(|point| point.load);
        let above_all = self.points.iter().rposition(|point| met(point) && point.is_decided()).unwrap_or(0);
        let missed_below = self.points[..above_all.min(self.points.len())].iter();
        let missed_below = missed_below.filter(|point| point.is_decided() && point.state() == State::Missed);
        let within = |point: &&Point| {
            point.is_decided()
                && point.state() == State::Undecided
                && low.is_none_or(|low| point.load > low.load)
                && high.is_none_or(|high| point.load < high.load)
        };
        let verified = |point: Option<Point>| point.is_none_or(|point| point.verified == Some(point.state()));
        Found {
            highest_met: decided(low),
            lowest_missed: decided(high),
            undecided: self.points.iter().filter(within).map(|point| point.load).collect(),
            not_monotonic: missed_below.map(|point| point.load).collect(),
            is_verified: verified(low) && verified(high),
        }
    }

    /// The lowest load that does not hold, and the highest one below it that does.
    fn ends(&self) -> (Option<Point>, Option<Point>) {
        let high = self.points.iter().position(|point| point.state() == State::Missed);
        let below = &self.points[..high.unwrap_or(self.points.len())];
        (below.iter().rev().find(|point| point.state() == State::Met).copied(), high.map(|high| self.points[high]))
    }

    fn is_wide(&self, (below, above): (f64, f64)) -> bool {
        let is_next = self.bounds.whole && above - below <= 1.0;
        // A little more than what doubling and halving lose to rounding.
        !is_next && above / below > (1.0 + self.bounds.precision) * (1.0 + 1e-9)
    }

    /// Half the load, down to the lowest there may be, which is then measured as an end is.
    fn down(&self, high: &Point) -> Option<Step> {
        let load = self.rounded((high.load / 2.0).max(self.bounds.least));
        match (load < high.load, high.is_decided()) {
            (true, _) => Some(Step::Look(load)),
            (false, false) => Some(Step::Decide(high.load)),
            (false, true) => None,
        }
    }

    /// Twice the load, up to the highest there may be, which is then measured as an end is.
    fn up(&self, low: &Point) -> Option<Step> {
        let last = self.points.last().map_or(low.load, |point| point.load);
        let load = self.rounded((last * 2.0).min(self.bounds.most));
        match (load > last, low.is_decided(), low.verified) {
            (true, ..) => Some(Step::Look(load)),
            (false, false, _) => Some(Step::Decide(low.load)),
            (false, true, None) => Some(Step::Verify(low.load)),
            (false, true, Some(_)) => None,
        }
    }

    fn rounded(&self, load: f64) -> f64 {
        if self.bounds.whole { load.round().max(1.0) } else { four_digits(load) }
    }
}

/// To four significant digits: what names and files show is what was sent.
fn four_digits(load: f64) -> f64 {
    let scale = 10f64.powi(3 - load.abs().log10().floor() as i32);
    (load * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Bounds = Bounds { start: 1.0, least: 0.01, most: 1e5, precision: 0.05, whole: false };
    const CLIENTS: Bounds = Bounds { start: 1.0, least: 1.0, most: 4096.0, precision: 0.05, whole: true };

    /// Searches a server of which each step says what it does.
    fn searched(bounds: Bounds, mut at: impl FnMut(Step) -> State) -> (Search, Vec<Step>) {
        let mut search = Search::new(bounds);
        let mut steps = Vec::new();
        while let Some(step) = search.next() {
            steps.push(step);
            let state = at(step);
            search.note(step, state);
        }
        (search, steps)
    }

    fn up_to(capacity: f64) -> impl Fn(Step) -> State {
        move |step| if step.load() <= capacity { State::Met } else { State::Missed }
    }

    #[test]
    fn the_capacity_lies_in_the_bracket() {
        for capacity in [0.013, 0.4, 1.0, 7.3, 64.0, 999.0, 54_321.0] {
            let (search, steps) = searched(RATE, up_to(capacity));
            let found = search.found();
            let (low, high) = (found.highest_met.unwrap(), found.lowest_missed.unwrap());
            assert!(low <= capacity && capacity < high && high / low <= 1.0501, "{capacity}: {found:?}");
            assert!(found.is_verified && found.not_monotonic.is_empty() && found.undecided.is_empty(), "{found:?}");
            assert!(steps.len() < 30, "{capacity}: {} steps", steps.len());
            // The same answers lead to the same loads.
            assert_eq!(searched(RATE, up_to(capacity)).1, steps);
        }
        for capacity in [1.0, 3.0, 16.0, 100.0, 1000.0] {
            let found = searched(CLIENTS, up_to(capacity)).0.found();
            let (low, high) = (found.highest_met.unwrap(), found.lowest_missed.unwrap());
            assert!(
                low <= capacity && capacity < high && (high - low <= 1.0 || high / low <= 1.0501),
                "{capacity}: {found:?}"
            );
        }
    }

    #[test]
    fn what_never_or_always_holds_has_one_end() {
        let none = searched(CLIENTS, |_| State::Missed).0.found();
        assert_eq!((none.highest_met, none.lowest_missed), (None, Some(1.0)));
        let all = searched(CLIENTS, |_| State::Met).0.found();
        assert_eq!((all.highest_met, all.lowest_missed, all.is_verified), (Some(4096.0), None, true));
        let untold = searched(CLIENTS, |_| State::Undecided).0.found();
        assert_eq!((untold.highest_met, untold.lowest_missed), (None, None));
    }

    #[test]
    fn loads_of_which_nothing_can_be_said_widen_the_bracket() {
        let state = |step: Step| match step.load() {
            load if load < 90.0 => State::Met,
            load if load > 115.0 => State::Missed,
            _ => State::Undecided,
        };
        let found = searched(RATE, state).0.found();
        let (low, high) = (found.highest_met.unwrap(), found.lowest_missed.unwrap());
        assert!((80.0..90.0).contains(&low) && (115.0..125.0).contains(&high), "{found:?}");
        assert!(
            !found.undecided.is_empty() && found.undecided.iter().all(|load| (90.0..=115.0).contains(load)),
            "{found:?}"
        );
    }

    #[test]
    fn an_end_that_does_not_hold_twice_is_none() {
        // 16 held when it was decided, and not when it was verified.
        let state = |step: Step| match step {
            Step::Verify(load) if load > 14.0 => State::Missed,
            step => up_to(16.0)(step),
        };
        let found = searched(RATE, state).0.found();
        assert!(found.highest_met.unwrap() <= 14.0, "{found:?}");
        assert!(found.undecided.iter().any(|load| (14.0..=16.0).contains(load)), "{found:?}");
    }

    #[test]
    fn a_dip_below_what_holds_is_told() {
        let state = |step: Step| match step.load() {
            load if (5.0..6.0).contains(&load) => State::Missed,
            load if load <= 100.0 => State::Met,
            _ => State::Missed,
        };
        let mut search = Search::new(RATE);
        for load in [1.0, 2.0, 4.0, 5.5, 8.0, 100.0, 104.0] {
            search.note(Step::Decide(load), state(Step::Decide(load)));
        }
        let found = search.found();
        assert_eq!((found.highest_met, found.lowest_missed, found.not_monotonic), (Some(4.0), Some(5.5), vec![5.5]));
    }

    /// Whatever a server does: a search that takes a step again would take it for ever.
    #[test]
    fn no_step_is_taken_twice() {
        use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
        for seed in 0..2000 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let weights = [rng.random_range(1..5), rng.random_range(0..5), rng.random_range(0..5)];
            let mut random = |_: Step| match rng.random_range(0..weights.iter().sum::<i32>()) {
                n if n < weights[0] => State::Missed,
                n if n < weights[0] + weights[1] => State::Met,
                _ => State::Undecided,
            };
            let bounds = if seed % 2 == 0 { CLIENTS } else { Bounds { start: 16.0, least: 1.0, ..RATE } };
            let bounds = Bounds { start: 8.0, ..bounds };
            let (_, steps) = searched(bounds, &mut random);
            for (i, step) in steps.iter().enumerate() {
                assert!(!steps[..i].contains(step), "{seed}: {step:?} again: {steps:?}");
            }
        }
    }

    #[test]
    fn loads_have_four_digits() {
        assert_eq!([12.34567, 0.0123456, 123_456.0, 1.0].map(four_digits), [12.35, 0.01235, 123_500.0, 1.0]);
    }
}
