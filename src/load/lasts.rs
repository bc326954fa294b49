//! A pass that goes on for a time, however many prompts that takes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::dataset::PythonRandom;

/// How long a pass goes on, and in what order its prompts are sent once all of them have been. Nothing is sent after that time; what is
/// in flight then comes to its end. Clones share the orders.
#[derive(Clone, Debug)]
pub struct Lasts {
    time: Duration,
    prompts: usize,
    seed: u64,
    /// Of each round after the first.
    orders: Arc<Mutex<Vec<Vec<u32>>>>,
}

impl Lasts {
    /// A pass of that time with so many prompts; the seed decides the order of each round but the first, which is the prompts' own.
    pub fn new(time: Duration, prompts: usize, seed: u64) -> Self {
        Self { time, prompts: prompts.max(1), seed, orders: Arc::default() }
    }

    /// How long requests are sent.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Which prompt is sent at a position, from 0 without an end.
    pub(super) fn prompt(&self, position: usize) -> usize {
        let (round, place) = (position / self.prompts, position % self.prompts);
        let Some(before) = round.checked_sub(1) else { return place };
        // What a panic has left is whole: orders are added when they are made.
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        while orders.len() <= before {
            let mut order: Vec<u32> = (0..self.prompts as u32).collect();
            PythonRandom::new(self.seed.wrapping_add(orders.len() as u64 + 1)).shuffle(&mut order);
            orders.push(order);
        }
        orders[before][place] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_repeat_in_orders_of_their_own() {
        let lasts = Lasts::new(Duration::from_secs(1), 50, 7);
        assert_eq!(lasts.time(), Duration::from_secs(1));
        // The seeds of the rounds follow that of the pass.
        for (round, seed) in [(1, 8), (2, 9)] {
            let mut order: Vec<usize> = (0..50).collect();
            PythonRandom::new(seed).shuffle(&mut order);
            assert!((0..50).all(|i| lasts.prompt(50 * round + i) == order[i]));
        }
        let round = |round: usize| (0..50).map(|i| lasts.prompt(50 * round + i)).collect::<Vec<_>>();
        assert_eq!(round(0), (0..50).collect::<Vec<_>>());
        // Asked for in any order.
        let (third, second) = (round(3), round(2));
        for order in [round(1), second.clone(), third.clone()] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, round(0));
            assert_ne!(order, round(0));
        }
        assert_ne!(second, third);
        let again = Lasts::new(Duration::from_secs(9), 50, 7);
        assert!((100..150).map(|position| again.prompt(position)).eq(second));
        assert_ne!(Lasts::new(Duration::from_secs(1), 50, 8).prompt(50), again.prompt(50));
        assert_eq!([0, 1, 9].map(|position| Lasts::new(Duration::ZERO, 1, 0).prompt(position)), [0, 0, 0]);
    }
}
