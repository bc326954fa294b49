//! What the server counts itself, read before and after each pass, and once a second during it on a thread of its own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::{
    gpu::{self, GpuReading},
    names::{Names, Reading, names_of},
    page::Page,
    readings::{Moment, scraped},
};
use crate::{
    client::{Headers, PageAt, Record, ServerPage, Target, TokenSource, clock::now_ns},
    metrics::{Gauge, GaugeReading, GpuMetrics, Scrape, ServerMetrics},
};

/// Where pages are, where nobody says: TensorRT-LLM has JSON at the first.
const PATHS: [&str; 2] = ["/metrics", "/prometheus/metrics"];
/// How often a page is read during a pass.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is read again after a pass whose tokens are not all counted yet, and how long between.
const AGAIN: (u32, Duration) = (5, Duration::from_millis(200));

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// Whether the server's page is looked for.
    pub own: bool,
    /// Where it is, where it is not on the server itself.
    pub url: Option<&'a str>,
    /// Where that of its GPUs is.
    pub gpu_url: Option<&'a str>,
    /// What of them becomes rows of their own.
    pub wanted: &'a [Scrape],
}

/// Reads the pages of one server.
pub struct Scraper {
    pages: Pages,
    runtime: Runtime,
}

struct Pages {
    /// With the names that it has, where they are those of a known server.
    server: Option<(ServerPage, Option<&'static Names>)>,
    gpu: Option<ServerPage>,
    wanted: Arc<[Scrape]>,
}

/// A pass under way.
pub struct Scraping<'a> {
    scraper: &'a Scraper,
    before: Moment,
    /// Ends the thread when it is dropped.
    stop: Sender<()>,
    thread: Option<JoinHandle<Vec<Moment>>>,
}

/// A pass that is over.
pub struct Scraped<'a> {
    scraper: &'a Scraper,
    before: Moment,
    during: Vec<Moment>,
    after: Moment,
}

/// What pages say of a pass.
#[derive(Debug, Default)]
pub struct Told {
    /// The server's, where it is a known one.
    pub server: Option<ServerMetrics>,
    /// What was asked for by name.
    pub scraped: BTreeMap<String, f64>,
    /// Its GPUs'.
    pub gpu: Option<GpuMetrics>,
    /// What the server's own gauges stood at during the pass.
    pub gauges: Vec<GaugeReading>,
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
    /// Looks for pages. `None` where there is none that can be read.
    pub fn find(target: &Arc<Target>, headers: &Headers, sought: &Sought) -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let open = |at| ServerPage::new(target.clone(), headers.clone(), at).ok();
        let read = |page: &ServerPage| Page::parse(&runtime.block_on(page.fetch())?);
        let places = match sought.url {
            Some(url) => vec![PageAt::Url(url.to_owned())],
            None => PATHS.map(|path| PageAt::Path(path.to_owned())).into(),
        };
        let found = places.into_iter().filter(|_| sought.own).find_map(|at| {
            let page = open(at)?;
            let names = names_of(&read(&page)?);
            (names.is_some() || !sought.wanted.is_empty()).then_some((page, names))
        });
        let gpu = sought.gpu_url.and_then(|url| {
            let page = open(PageAt::Url(url.to_owned()))?;
            GpuReading::of(&read(&page)?).map(|_| page)
        });
        let pages = Pages { server: found, gpu, wanted: sought.wanted.into() };
        (pages.server.is_some() || pages.gpu.is_some()).then_some(Self { pages, runtime })
    }

    /// Whether it has the server's own page, and that of its GPUs.
    pub fn has_pages(&self) -> (bool, bool) {
        (self.pages.server.is_some(), self.pages.gpu.is_some())
    }

    /// What was asked for by name and is on none of them.
    pub fn missing(&self) -> Vec<Scrape> {
        if self.pages.wanted.is_empty() {
            return Vec::new();
        }
        let now = self.read().wanted;
        self.pages
            .wanted
            .iter()
            .zip(now)
            .filter(|(_, value)| value.is_none())
            .map(|(scrape, _)| scrape.clone())
            .collect()
    }

    fn read(&self) -> Moment {
        self.pages.read(&self.runtime)
    }

    /// A pass begins.
    pub fn begin(&self) -> Scraping<'_> {
        let before = self.read();
        let (stop, stopped) = channel();
        let pages = self.pages.anew();
        let watch = move || {
            let mut readings = Vec::new();
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return readings };
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                readings.push(pages.read(&runtime));
            }
            readings
        };
        Scraping { scraper: self, before, stop, thread: Some(std::thread::spawn(watch)) }
    }
}

impl Pages {
    /// The same for another runtime.
    fn anew(&self) -> Self {
        let server = self.server.as_ref().and_then(|(page, names)| Some((page.anew().ok()?, *names)));
        let gpu = self.gpu.as_ref().and_then(|page| page.anew().ok());
        Self { server, gpu, wanted: self.wanted.clone() }
    }

    /// Of the server's page, or of its GPUs' where it was read and has no such name.
    fn value(&self, name: &str, server: Option<&Page>, gpu: Option<&Page>) -> Option<f64> {
        match (server, &self.server) {
            (Some(page), _) => page.sum(name).or_else(|| gpu?.sum(name)),
            (None, Some(_)) => gpu.filter(|_| name.starts_with("DCGM_"))?.sum(name),
            (None, None) => gpu?.sum(name),
        }
    }

    fn read(&self, runtime: &Runtime) -> Moment {
        let read = |page: &ServerPage| Page::parse(&runtime.block_on(page.fetch())?);
        let server = self.server.as_ref().and_then(|(page, _)| read(page));
        let at_ns = now_ns();
        let gpu = self.gpu.as_ref().and_then(read);
        let names = self.server.as_ref().and_then(|(_, names)| *names);
        Moment {
            at_ns,
            // A name is the server's, where it has a page; one that could not be read is not made up for.
            wanted: self.wanted.iter().map(|scrape| self.value(&scrape.name, server.as_ref(), gpu.as_ref())).collect(),
            gpu: gpu.as_ref().and_then(GpuReading::of),
            server: names.and_then(|names| server.as_ref().map(|page| names.read(page))),
        }
    }
}

impl<'a> Scraping<'a> {
    /// The pass is over.
    pub fn over(mut self) -> Scraped<'a> {
        drop(std::mem::replace(&mut self.stop, channel().0));
        let during = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Scraped { scraper: self.scraper, before: self.before, during, after: self.scraper.read() }
    }
}

impl Scraped<'_> {
    /// What the pages say of the pass, which took so many seconds. Nothing of one that is gone.
    pub fn of(self, ours: Ours, pass_s: f64) -> Told {
        let Self { scraper, before, during, mut after } = self;
        let generated = |after: &Moment| {
            Some(after.server?.generated_tokens? - before.server?.generated_tokens?).filter(|tokens| *tokens >= 0.0)
        };
        // Some servers count a little later than they answer.
        for _ in 0..AGAIN.0 {
            if generated(&after).is_none_or(|tokens| tokens >= ours.output_tokens as f64) {
                break;
            }
            std::thread::sleep(AGAIN.1);
            after = scraper.read();
        }
        let apart_s = after.seconds_since(&before);
        let gpus: Vec<GpuReading> = during.iter().filter_map(|moment| moment.gpu).collect();
        let gpu = before.gpu.zip(after.gpu);
        let gpu = gpu.map(|(before, after)| gpu::of_pass(before, &gpus, after, apart_s, pass_s));
        let scraped = scraped(&scraper.pages.wanted, &before, &during, &after);
        let readings: Vec<Reading> = during.iter().filter_map(|moment| moment.server).collect();
        let gauges = during.iter().filter_map(Moment::gauges).collect();
        Told { server: scraper.server_metrics(before.server, &readings, after.server, ours), scraped, gpu, gauges }
    }
}

impl Scraper {
    fn server_metrics(
        &self,
        before: Option<Reading>,
        readings: &[Reading],
        after: Option<Reading>,
        ours: Ours,
    ) -> Option<ServerMetrics> {
        let (_, Some(names)) = self.pages.server.as_ref()? else { return None };
        Some(of_pass(names.server, &before?, readings, &after?, ours))
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
    let ttft = after.ttft.zip(before.ttft).filter(|(after, before)| !restarted && after.1 > before.1);
    let generated_tokens = since(|r| r.generated_tokens);
    let most = ours.output_tokens + ours.uncounted_tokens;
    let others = generated_tokens.map(|tokens| tokens.saturating_sub(most));
    ServerMetrics {
        server: server.to_owned(),
        readings: readings.len(),
        running: Gauge::over(readings, |r| r.running),
        waiting: Gauge::over(readings, |r| r.waiting),
        kv_use: Gauge::over(readings, |r| r.kv_use),
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
