//! How far a pass has come, on stderr: a line that is drawn anew on a terminal, and a line a minute elsewhere.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
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
    counted: Arc<Counted>,
    shown: Shown,
}

enum Shown {
    Nowhere,
    Bar(ProgressBar),
    /// Where there is no terminal; the thread ends with the sender.
    Lines(Mutex<Option<(Sender<()>, JoinHandle<()>)>>),
}

/// What has ended so far.
struct Counted {
    extent: Extent,
    /// How long what comes after the pass will take.
    after: Option<Duration>,
    done: AtomicU64,
    failed: AtomicU64,
    tokens: AtomicU64,
    started: Instant,
}

/// How often a line is printed where there is no terminal.
const EVERY: Duration = Duration::from_secs(60);

impl Progress {
    /// For a pass of that extent, after which the run takes that long, as far as that is known. Shows nothing with `quiet`.
    pub fn new(title: &str, extent: Extent, after: Option<Duration>, quiet: bool) -> Self {
        let counted = Arc::new(Counted {
            extent,
            after,
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            started: Instant::now(),
        });
        let shown = match quiet {
            true => Shown::Nowhere,
            false if stderr().is_terminal() => Shown::Bar(bar(title, extent)),
            false => Shown::Lines(Mutex::new(Some(lines(title.to_owned(), counted.clone())))),
        };
        Self { counted, shown }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(lines) => {
                let taken = lines.lock().ok().and_then(|mut lines| lines.take());
                if let Some((sender, thread)) = taken {
                    drop(sender);
                    // It only prints.
                    _ = thread.join();
                }
            }
        }
    }
}

fn bar(title: &str, extent: Extent) -> ProgressBar {
    let (length, template) = match extent {
        Extent::Requests(requests) => (requests as u64, "{prefix} {bar:12} {pos}/{len} {wide_msg}"),
        Extent::Time(time) => (time.as_millis() as u64, "{prefix} {bar:12} {wide_msg}"),
    };
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(4));
    // A constant that parses; the default style stands in otherwise.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(title.to_owned());
    bar
}

fn lines(title: String, counted: Arc<Counted>) -> (Sender<()>, JoinHandle<()>) {
    let (sender, ended) = channel();
    let print = move || {
        while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let done = counted.done.load(Ordering::Relaxed);
            let of = match counted.extent {
                Extent::Requests(requests) => format!("{done} of {requests} requests, "),
                Extent::Time(_) => String::new(),
            };
            // With stderr closed there is nobody to tell.
            _ = writeln!(stderr(), "Benchmarking {title}: {of}{}", counted.words());
        }
    };
    (sender, std::thread::spawn(print))
}

impl Counted {
    /// `0 failed, 1234 tokens/s, 5 min left`.
    fn words(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (done, failed, tokens) = (of(&self.done), of(&self.failed), of(&self.tokens));
        let elapsed_s = self.started.elapsed().as_secs_f64().max(1e-9);
        if done == 0 {
            return "no answer so far".to_owned();
        }
        let (left_s, requests) = match self.extent {
            Extent::Requests(requests) => {
                let left = (requests as u64).saturating_sub(done);
                (elapsed_s / done.max(1) as f64 * left as f64, String::new())
            }
            Extent::Time(time) => ((time.as_secs_f64() - elapsed_s).max(0.0), format!("{done} requests, ")),
        };
        let left = match self.after {
            Some(after) => format!("{} left", words(left_s + after.as_secs_f64())),
            None => format!("{} left in this pass", words(left_s)),
        };
        format!("{requests}{failed} failed, {:.0} tokens/s, {left}", tokens as f64 / elapsed_s)
    }
}

/// Seconds up to a minute and a half, then minutes.
fn words(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds if seconds < 90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

impl Observer for Progress {
    fn ended(&self, record: &Record) {
        if matches!(self.shown, Shown::Nowhere) {
            return;
        }
        let counted = &self.counted;
        let done = counted.done.fetch_add(1, Ordering::Relaxed) + 1;
        counted.failed.fetch_add(u64::from(!record.is_completed()), Ordering::Relaxed);
        let tokens = record.usage.and_then(|usage| usage.completion_tokens).unwrap_or(record.token_events);
        counted.tokens.fetch_add(u64::from(tokens), Ordering::Relaxed);
        if let Shown::Bar(bar) = &self.shown {
            bar.set_position(match counted.extent {
                Extent::Requests(_) => done,
                Extent::Time(_) => counted.started.elapsed().as_millis() as u64,
            });
            bar.set_message(counted.words());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_of_the_run_where_that_is_known() {
        let counted = |extent, after| Counted {
            extent,
            after,
            done: AtomicU64::new(10),
            failed: AtomicU64::new(1),
            tokens: AtomicU64::new(500),
            started: Instant::now(),
        };
        let run = counted(Extent::Requests(10), Some(Duration::from_secs(125))).words();
        assert!(run.starts_with("1 failed, ") && run.ends_with(" tokens/s, 3 min left"), "{run}");
        let pass = counted(Extent::Requests(10), None).words();
        assert!(pass.ends_with(" tokens/s, 0 s left in this pass"), "{pass}");
        let timed = counted(Extent::Time(Duration::from_secs(600)), None).words();
        let none = Counted { done: AtomicU64::new(0), ..counted(Extent::Requests(10), None) };
        assert_eq!(none.words(), "no answer so far");
        assert!(timed.starts_with("10 requests, 1 failed, ") && timed.ends_with("10 min left in this pass"), "{timed}");
    }
}
