//! What the server counts itself, read before and after each pass, and once a second during it on a thread of its own.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::{
    names::{Names, Reading, names_of},
    page::Page,
};
use crate::{
    client::{Headers, PageAt, Record, ServerPage, Target, TokenSource},
    metrics::{Gauge, ServerMetrics},
};

/// Where pages are, where nobody says: TensorRT-LLM has JSON at the first.
const PATHS: [&str; 2] = ["/metrics", "/prometheus/metrics"];
/// How often a page is read during a pass.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is read again after a pass whose tokens are not all counted yet, and how long between.
const AGAIN: (u32, Duration) = (5, Duration::from_millis(200));

/// Reads the page of one server.
pub struct Scraper {
    page: ServerPage,
    names: &'static Names,
    runtime: Runtime,
}

/// A pass under way.
pub struct Scraping<'a> {
    scraper: &'a Scraper,
    before: Option<Reading>,
    /// Ends the thread when it is dropped.
    stop: Sender<()>,
    thread: Option<JoinHandle<Vec<Reading>>>,
}

/// A pass that is over.
pub struct Scraped<'a> {
    scraper: &'a Scraper,
    before: Option<Reading>,
    readings: Vec<Reading>,
    after: Option<Reading>,
}

/// What the client knows of a pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ours {
    /// Output tokens of completed requests, as their answers count them.
    pub output_tokens: u64,
    /// What others may have made at most: those that failed or were sent again, and those whose answers count nothing.
    pub uncounted_tokens: u64,
}

impl Ours {
    /// Of the requests of a pass; and of tokens that were asked for by requests given up before it, which the server may not have noticed.
    pub fn of(records: &[Record], given_up_before: u64) -> Self {
        let (mut counted, mut uncounted) = (0, 0);
        for record in records {
            let requested = u64::from(record.requested_tokens);
            match record.output {
                Some((tokens, TokenSource::Usage)) => counted += u64::from(tokens),
                // The client's count of a text lacks tokens that have none.
                _ => uncounted += requested,
            }
            uncounted += requested * u64::from(record.retries);
        }
        Self { output_tokens: counted, uncounted_tokens: uncounted + given_up_before }
    }
}

impl Scraper {
    /// Looks for a page: at that URL, or on the server itself. `None` where there is none that can be read.
    pub fn find(target: &Arc<Target>, headers: &Headers, url: Option<&str>) -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let places = match url {
            Some(url) => vec![PageAt::Url(url.to_owned())],
            None => PATHS.map(|path| PageAt::Path(path.to_owned())).into(),
        };
        for at in places {
            let page = ServerPage::new(target.clone(), headers.clone(), at).ok()?;
            let text = runtime.block_on(page.fetch());
            if let Some(names) = text.and_then(|text| Page::parse(&text)).and_then(|page| names_of(&page)) {
                return Some(Self { page, names, runtime });
            }
        }
        None
    }

    fn read(&self) -> Option<Reading> {
        read(&self.runtime, &self.page, self.names)
    }

    /// A pass begins.
    pub fn begin(&self) -> Scraping<'_> {
        let before = self.read();
        let (stop, stopped) = channel();
        let (page, names) = (self.page.anew(), self.names);
        let watch = move || {
            let mut readings = Vec::new();
            let runtime = Builder::new_current_thread().enable_all().build();
            let (Ok(runtime), Ok(page)) = (runtime, page) else { return readings };
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                readings.extend(read(&runtime, &page, names));
            }
            readings
        };
        Scraping { scraper: self, before, stop, thread: Some(std::thread::spawn(watch)) }
    }
}

fn read(runtime: &Runtime, page: &ServerPage, names: &Names) -> Option<Reading> {
    let text = runtime.block_on(page.fetch())?;
    Page::parse(&text).map(|page| names.read(&page))
}

impl<'a> Scraping<'a> {
    /// The pass is over.
    pub fn over(mut self) -> Scraped<'a> {
        drop(std::mem::replace(&mut self.stop, channel().0));
        let readings = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Scraped { scraper: self.scraper, before: self.before, readings, after: self.scraper.read() }
    }
}

impl Scraped<'_> {
    /// What the server says of the pass; `None` where its page is gone.
    pub fn of(self, ours: Ours) -> Option<ServerMetrics> {
        let (before, mut after) = (self.before?, self.after?);
        let generated = |after: &Reading| after.generated_tokens.zip(before.generated_tokens).map(|(a, b)| a - b);
        // Some servers count a little later than they answer.
        for _ in 0..AGAIN.0 {
            if generated(&after).is_none_or(|tokens| tokens < 0.0 || tokens >= ours.output_tokens as f64) {
                break;
            }
            std::thread::sleep(AGAIN.1);
            after = self.scraper.read()?;
        }
        Some(of_pass(self.scraper.names.server, &before, &self.readings, &after, ours))
    }
}

fn of_pass(server: &str, before: &Reading, readings: &[Reading], after: &Reading, ours: Ours) -> ServerMetrics {
    let counters: [fn(&Reading) -> Option<f64>; 4] =
        [|r| r.prompt_tokens, |r| r.cached_tokens, |r| r.generated_tokens, |r| r.preemptions];
    let all: Vec<&Reading> = std::iter::once(before).chain(readings).chain([after]).collect();
    let falls = |of: &fn(&Reading) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(|reading| of(reading)).collect();
        values.is_sorted_by(|a, b| a <= b)
    };
    let restarted = !counters.iter().all(falls);
    let since = |of: fn(&Reading) -> Option<f64>| {
        let (after, before) = (of(after)?, of(before)?);
        (!restarted).then(|| (after - before).round() as u64)
    };
    let gauge = |of: fn(&Reading) -> Option<f64>| {
        let values: Vec<f64> = readings.iter().filter_map(of).collect();
        let max = values.iter().copied().reduce(f64::max)?;
        Some(Gauge { mean: values.iter().sum::<f64>() / values.len() as f64, max })
    };
    let ttft = after.ttft.zip(before.ttft).filter(|(after, before)| !restarted && after.1 > before.1);
    let generated_tokens = since(|r| r.generated_tokens);
    let most = ours.output_tokens + ours.uncounted_tokens;
    let others = generated_tokens.map(|tokens| tokens.saturating_sub(most));
    ServerMetrics {
        server: server.to_owned(),
        readings: readings.len(),
        running: gauge(|r| r.running),
        waiting: gauge(|r| r.waiting),
        kv_use: gauge(|r| r.kv_use),
        prompt_tokens: since(|r| r.prompt_tokens),
        cached_tokens: since(|r| r.cached_tokens),
        generated_tokens,
        preemptions: since(|r| r.preemptions),
        ttft_mean_s: ttft.map(|(after, before)| (after.0 - before.0) / (after.1 - before.1)),
        restarted,
        tokens_of_others: others.filter(|tokens| *tokens > SLACK + most / 100),
    }
}

/// Tokens that may be those of requests which were given up before the pass.
const SLACK: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(tokens: f64, running: f64) -> Reading {
        Reading { generated_tokens: Some(tokens), running: Some(running), ..Reading::default() }
    }

    const OURS: Ours = Ours { output_tokens: 1000, uncounted_tokens: 0 };

    #[test]
    fn a_pass_is_what_lies_between_two_pages() {
        let before = Reading { ttft: Some((1.0, 10.0)), preemptions: Some(2.0), ..reading(500.0, 0.0) };
        let after = Reading { ttft: Some((3.0, 20.0)), preemptions: Some(5.0), ..reading(1500.0, 0.0) };
        let of = of_pass("x", &before, &[reading(700.0, 4.0), reading(1200.0, 8.0)], &after, OURS);
        assert_eq!((of.readings, of.running, of.waiting), (2, Some(Gauge { mean: 6.0, max: 8.0 }), None));
        assert_eq!((of.generated_tokens, of.preemptions, of.ttft_mean_s), (Some(1000), Some(3), Some(0.2)));
        assert_eq!((of.restarted, of.tokens_of_others, of.prompt_tokens), (false, None, None));
    }

    #[test]
    fn what_was_asked_for_more_than_once_is_ours() {
        let record = |output, retries| {
            let mut record = Record::new(0, 1, 10);
            (record.output, record.retries) = (output, retries);
            record
        };
        let of = |records: &[Record], before| {
            let Ours { output_tokens, uncounted_tokens } = Ours::of(records, before);
            (output_tokens, uncounted_tokens)
        };
        let counted = Some((7, TokenSource::Usage));
        assert_eq!(of(&[record(counted, 0), record(counted, 2)], 5), (14, 25));
        // Of one that failed, and of one whose text the client has counted, nobody knows.
        assert_eq!(of(&[record(None, 0), record(Some((7, TokenSource::Client)), 0)], 0), (0, 20));
    }

    #[test]
    fn others_and_restarts_are_noticed() {
        let of = |before: f64, between: f64, after: f64, ours: Ours| {
            of_pass("x", &reading(before, 0.0), &[reading(between, 1.0)], &reading(after, 0.0), ours)
        };
        assert_eq!(of(0.0, 500.0, 1074.0, OURS).tokens_of_others, None);
        assert_eq!(of(0.0, 500.0, 1075.0, OURS).tokens_of_others, Some(75));
        // What failed may have been made all the same.
        assert_eq!(of(0.0, 500.0, 1075.0, Ours { uncounted_tokens: 50, ..OURS }).tokens_of_others, None);
        for (before, between, after) in [(5000.0, 300.0, 900.0), (100.0, 900.0, 400.0)] {
            let of = of(before, between, after, OURS);
            assert_eq!((of.restarted, of.generated_tokens, of.tokens_of_others), (true, None, None));
        }
    }
}
