//! What is learned of a server on the way: how it ends answers and connections. Shared by all clients of a benchmark.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

#[cfg(feature = "harness")]
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Habits {
    connections: AtomicU8,
    bodies_left_open: AtomicU32,
    usages_left_out: AtomicU32,
}

/// What one process has learned, for others that send to the same server.
#[cfg(feature = "harness")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    connections: u8,
    bodies_left_open: u32,
    usages_left_out: u32,
}

const UNKNOWN: u8 = 0;
const KEEPS: u8 = 1;
const CLOSES: u8 = 2;

/// So often in a row makes a habit.
const HABIT: u32 = 3;

impl Habits {
    /// What is known so far.
    #[cfg(feature = "harness")]
    pub fn learned(&self) -> Learned {
        Learned {
            connections: self.connections.load(Relaxed),
            bodies_left_open: self.bodies_left_open.load(Relaxed),
            usages_left_out: self.usages_left_out.load(Relaxed),
        }
    }

    /// Takes over what another process has learned, in place of what is known here.
    #[cfg(feature = "harness")]
    pub fn adopt(&self, learned: Learned) {
        self.connections.store(learned.connections, Relaxed);
        self.bodies_left_open.store(learned.bodies_left_open, Relaxed);
        self.usages_left_out.store(learned.usages_left_out, Relaxed);
    }

    /// Whether it is known if a connection outlives its first answer.
    pub fn knows_connections(&self) -> bool {
        self.connections.load(Relaxed) != UNKNOWN
    }

    /// Whether the server closes each connection after one answer, without saying so (llama.cpp does after a stream). Its
    /// connections are then opened for each request, before the send.
    pub fn closes_after_each_answer(&self) -> bool {
        self.connections.load(Relaxed) == CLOSES
    }

    /// A connection was closed right after its first answer (`true`), or outlived it.
    pub fn note_closes(&self, closes: bool) {
        self.connections.store(if closes { CLOSES } else { KEEPS }, Relaxed);
    }

    /// Whether to wait for the end of a body when the answer is whole: not where the server is known to leave bodies open, but
    /// for a test after 4, 8, 16, … of them.
    pub fn ends_bodies(&self) -> bool {
        let in_a_row = self.bodies_left_open.load(Relaxed);
        in_a_row < HABIT || in_a_row.is_power_of_two()
    }

    /// A body was left open after the answer was whole (`true`), or ended.
    pub fn note_left_open(&self, left_open: bool) {
        note(&self.bodies_left_open, left_open);
    }

    /// Whether to wait long for the usage after a finish reason.
    pub fn sends_usage(&self) -> bool {
        self.usages_left_out.load(Relaxed) < HABIT
    }

    /// No usage came after a finish reason though it was asked for (`true`), or one came.
    pub fn note_usage_left_out(&self, left_out: bool) {
        note(&self.usages_left_out, left_out);
    }
}

fn note(in_a_row: &AtomicU32, happened: bool) {
    if happened {
        in_a_row.fetch_add(1, Relaxed);
    } else if in_a_row.load(Relaxed) != 0 {
        in_a_row.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_is_learned_tested_and_unlearned() {
        let habits = Habits::default();
        let mut waited = Vec::new();
        for i in 0..40 {
            if habits.ends_bodies() {
                waited.push(i);
            }
            habits.note_left_open(true);
        }
        assert_eq!(waited, [0, 1, 2, 4, 8, 16, 32]);
        habits.note_left_open(false);
        assert!(habits.ends_bodies() && habits.sends_usage());
        (0..40).for_each(|_| habits.note_usage_left_out(true));
        assert!(!habits.sends_usage());
        habits.note_usage_left_out(false);
        assert!(habits.sends_usage());
        habits.note_closes(true);
        assert!(habits.closes_after_each_answer() && habits.knows_connections());
        habits.note_closes(false);
        assert!(!habits.closes_after_each_answer() && habits.knows_connections());
    }

    #[cfg(feature = "harness")]
    #[test]
    fn what_one_process_has_learned_another_knows() {
        let habits = Habits::default();
        habits.note_closes(true);
        (0..3).for_each(|_| habits.note_usage_left_out(true));
        (0..5).for_each(|_| habits.note_left_open(true));
        let other = Habits::default();
        other.adopt(habits.learned());
        assert!(other.closes_after_each_answer() && !other.sends_usage() && !other.ends_bodies());
        other.adopt(Learned::default());
        assert!(!other.knows_connections() && other.sends_usage() && other.ends_bodies());
    }
}
