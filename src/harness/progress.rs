//! How far a pass has come, on stderr where that is a terminal.

use std::{
    io::{IsTerminal, stderr},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{client::Record, load::Observer};

/// Counts what has ended; shared by all threads of a pass.
pub struct Progress {
    bar: ProgressBar,
    total: u64,
    done: AtomicU64,
    failed: AtomicU64,
    tokens: AtomicU64,
    started: Instant,
}

impl Progress {
    /// For a pass of that many requests. Draws only where stderr is a terminal and `quiet` is not set.
    pub fn new(title: &str, total: usize, quiet: bool) -> Self {
        let target = match !quiet && stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(8),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        // A constant that parses; the default style stands in otherwise.
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:20} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_owned());
        Self {
            bar,
            total: total as u64,
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn ended(&self, record: &Record) {
        if self.bar.is_hidden() {
            return;
        }
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let one = u64::from(!record.is_completed());
        let failed = self.failed.fetch_add(one, Ordering::Relaxed) + one;
        let tokens = record.usage.and_then(|usage| usage.completion_tokens).unwrap_or(record.token_events);
        let tokens = self.tokens.fetch_add(u64::from(tokens), Ordering::Relaxed) + u64::from(tokens);
        let elapsed = self.started.elapsed().as_secs_f64().max(1e-9);
        let left = elapsed / done as f64 * self.total.saturating_sub(done) as f64;
        let left = Duration::from_secs_f64(left.round());
        self.bar.set_position(done);
        self.bar.set_message(format!("{failed} failed, {:.0} tokens/s, {left:?} left", tokens as f64 / elapsed));
    }
}
