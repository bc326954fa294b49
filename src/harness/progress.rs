//! How far a pass has come, on stderr where that is a terminal.

use std::{
    io::{IsTerminal, stderr},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{client::Record, load::Observer};

/// How far there is to go.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// So many requests.
    Requests(usize),
    /// Requests for that long.
    Time(Duration),
}

/// Counts what has ended; shared by all threads of a pass.
pub struct Progress {
    bar: ProgressBar,
    extent: Extent,
    done: AtomicU64,
    failed: AtomicU64,
    tokens: AtomicU64,
    started: Instant,
}

impl Progress {
    /// For a pass of that extent. Draws only where stderr is a terminal and `quiet` is not set.
    pub fn new(title: &str, extent: Extent, quiet: bool) -> Self {
        let target = match !quiet && stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(8),
            false => ProgressDrawTarget::hidden(),
        };
        let (length, template) = match extent {
            Extent::Requests(requests) => (requests as u64, "{prefix} {bar:20} {pos}/{len} {msg}"),
            Extent::Time(time) => (time.as_millis() as u64, "{prefix} {bar:20} {msg}"),
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        // A constant that parses; the default style stands in otherwise.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_owned());
        Self {
            bar,
            extent,
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
        let (position, left, requests) = match self.extent {
            Extent::Requests(requests) => {
                (done, elapsed / done as f64 * (requests as u64).saturating_sub(done) as f64, String::new())
            }
            Extent::Time(time) => {
                ((elapsed * 1e3) as u64, (time.as_secs_f64() - elapsed).max(0.0), format!("{done} requests, "))
            }
        };
        let left = match left.round() as u64 {
            seconds if seconds < 90 => format!("{seconds} s"),
            seconds => format!("{} min", seconds.div_ceil(60)),
        };
        self.bar.set_position(position);
        self.bar
            .set_message(format!("{requests}{failed} failed, {:.0} tokens/s, {left} left", tokens as f64 / elapsed));
    }
}
