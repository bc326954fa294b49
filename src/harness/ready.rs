//! One benchmark, from prompts to its report.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use super::{
    RunError,
    identity::{Half, digest, has_turns, hash_of, history_from, seed_of},
    passes::Passes,
    probe::probe,
    progress::{Extent, Progress},
    prompt_cache::PromptsOf,
    send::{Part, request_id_prefix, send, timestamp},
    session::{Server, Session},
    shards::{Together, numbers},
    sources::warmup_sampling,
    spread::Spread,
};
use crate::{
    baseline::this_host,
    client::Record,
    config::{Benchmark, MOST_PASSES, Warmup},
    dataset::{Digest, Prompts, with_nonces},
    load::{FailureBudget, LoadPoint, PassRecords, Share, StopReason},
    metrics::{Conversations, PassMetrics, ServerMetrics, count_output_tokens},
    report::{Output, PassSent, SinkError, Sinks, warn},
    run::{Cache, Commit, Partial, Report, SCHEMA_VERSION, ServerReport, WorkloadReport},
    server::{HostWatch, Ours, Scraper, Scraping},
    shard::Leader,
    stats::{Stopping, estimates, estimates_within},
    text::visible,
};

/// A benchmark that is ready to run its passes: its prompts are drawn, its server has answered.
pub struct Ready<'a> {
    session: &'a Session<'a>,
    benchmark: &'a Benchmark,
    output: Output,
    half: Half,
    first: Prompts,
    digest: Digest,
    server: Server,
    cache: Option<Cache>,
    /// Reads the server's own metrics.
    scraper: Option<Scraper>,
    /// The processes of the server that passes went to, where the run starts it.
    processes: RefCell<HashSet<usize>>,
    /// How passes are spread over such.
    spread: Cell<Spread>,
    /// Tokens that requests of the last pass asked for which were not completed: the server may go on with them.
    given_up: Cell<u64>,
    /// Hashes of the prompts that were sent, and how many were among them already.
    sent: RefCell<(HashSet<u64>, usize)>,
}

/// What one pass gave.
struct Ran {
    pass: PassMetrics,
    records: Vec<Record>,
    stopped: Option<StopReason>,
    unsaved: Vec<SinkError>,
    /// What went wrong after it: no reason to lose it.
    after: Option<RunError>,
}

impl<'a> Ready<'a> {
    /// Asks the server for its model and draws the first pass's prompts. `sent_before` tells which earlier run sent such
    /// prompts to that server.
    pub fn new(
        session: &'a Session,
        benchmark: &'a Benchmark,
        half: Half,
        sent_before: impl FnOnce(&PromptsOf, &str) -> Option<String>,
        output: Output,
    ) -> Result<Self, RunError> {
        let Benchmark { name, workload: spec, load, .. } = benchmark;
        if let Some(shards) = &session.shards {
            shards.check()?;
        }
        session.renew_for_benchmark();
        let server = session.ready_for(spec, |line| output.status(line))?;
        output.status(&format!("Benchmarking {name}: drawing {} prompts from {}", spec.num_prompts, spec.dataset));
        let first = session.sources.prompts(spec, seed_of(spec, load, half, 0))?;
        let digest = digest(&first, spec);
        if half == Half::First && load.shape().is_recorded() {
            let remark = load.shape().remark(&first.prompts.clone().into());
            remark.into_iter().for_each(|remark| warn(format!("{name}: {remark}")));
        }
        session.check_stopped()?;
        let mut ready = Self {
            session,
            benchmark,
            output,
            half,
            first,
            digest,
            scraper: session.scraper(&server),
            server,
            cache: None,
            processes: RefCell::default(),
            spread: Cell::new(session.spread(spec.sample_size)),
            given_up: Cell::default(),
            sent: RefCell::default(),
        };
        session.hook("before_benchmark", |hooks| &hooks.before_benchmark)?;
        if !ready.server.embedded && !spec.cache_bust && spec.sampling.api.generates() {
            ready.cache = Some(ready.find_cache(sent_before)?);
        }
        Ok(ready)
    }

    /// Whether the server may have these prompts in its cache.
    fn find_cache(&self, sent_before: impl FnOnce(&PromptsOf, &str) -> Option<String>) -> Result<Cache, RunError> {
        let Benchmark { name, workload: spec, load, .. } = self.benchmark;
        let most = if self.session.plan.resolve.is_some() { MOST_PASSES } else { spec.sample_size };
        let seeds = (0..most).map(|draw| seed_of(spec, load, self.half, draw)).collect();
        let prompts = PromptsOf { dataset: spec.dataset.to_string(), sampler: spec.sampler, seeds };
        // What another process was sent, one that was just started does not know.
        let sent_before = |prompts: &PromptsOf, url: &str| match self.session.name() {
            Some(_) => None,
            None => sent_before(prompts, url),
        };
        // That the first half has sent them is what a calibration is.
        let in_this_run = match self.half {
            Half::First => self.session.sent_by(&prompts).map(|by| format!("{by} of this run")),
            Half::Second => None,
        };
        let before = in_this_run.or_else(|| sent_before(&prompts, &self.server.target.url.to_string()));
        let mut cache = Cache { sent_before: before, ..Cache::default() };
        if cache.sent_before.is_some() {
            let probed = probe(self.session, &self.server, spec, self.output)?;
            (cache.caches, cache.probe_factor) = (probed.caches, probed.factor);
        }
        self.session.note_sent(name, prompts);
        Ok(cache)
    }

    /// Whether the second half of a calibration would find the first one's prompts in the server's cache, which does not say
    /// so: what it says shows in the passes.
    pub fn caches_halves(&self) -> Result<bool, RunError> {
        let spec = &self.benchmark.workload;
        if self.server.embedded || spec.cache_bust || spec.fresh_prompts || !spec.sampling.api.generates() {
            return Ok(false);
        }
        let probed = probe(self.session, &self.server, spec, self.output)?;
        Ok(probed.caches == Some(true) && !probed.reports)
    }

    /// Sends the requests before the first pass.
    pub fn warm_up(&self) -> Result<(), RunError> {
        let Benchmark { name, workload: spec, load, .. } = self.benchmark;
        let warmup = spec.warmup_at(load);
        let (requests, time) = match warmup {
            Warmup::Requests(0) => {
                self.session.started.warmed(Duration::ZERO);
                return Ok(());
            }
            Warmup::Requests(requests) => (requests, None),
            Warmup::Time(time) => (WARMUP_PROMPTS, Some(time)),
        };
        self.output.status(&format!("Benchmarking {name}: warming up with {warmup}"));
        let prompts = self.session.sources.warmup(spec, &self.first, requests)?;
        let workload = Prompts { seed: !spec.seed, prompts };
        let mut warm = self.benchmark.clone();
        warm.workload.sampling = warmup_sampling(&spec.sampling);
        warm.workload.duration = time;
        // For a time, as many at once as the load has.
        let most = if time.is_some() { spec.num_prompts } else { requests };
        warm.load = LoadPoint::closed(load.shape().connections(most));
        let progress = Progress::new("warm-up", Extent::Requests(requests), None, true);
        let prefix = request_id_prefix("warmup");
        // The server may take a few requests to come to itself.
        warm.workload.max_failures = FailureBudget::Percent(100.0);
        let began = Instant::now();
        let PassRecords { records, stopped, .. } =
            send(self.session, &warm, &self.server, &workload, progress, &prefix, Part::whole(self.session))?;
        if stopped.is_some() {
            return Err(RunError::Interrupted);
        }
        self.session.started.warmed(began.elapsed());
        match records.iter().find_map(|record: &Record| record.outcome.as_ref().err()) {
            Some(failure) if records.iter().all(|record| !record.is_completed()) => {
                let (class, message) = (failure.class.to_string(), failure.message.clone());
                Err(RunError::Warmup { requests: records.len(), class, message })
            }
            _ => Ok(()),
        }
    }

    /// How many passes go to one process of the server before another is started, by how long the first one took; `None` where one has
    /// them all.
    pub fn passes_a_process(&self, first: &PassMetrics, expected: usize) -> Option<usize> {
        let pass = Duration::from_secs_f64(first.duration_s);
        self.spread.get().passes_a_process(self.session.started.start_took(), pass, expected)
    }

    /// Settles how passes are spread over processes, where that was open.
    pub fn settle_spread(&self, passes_a_process: usize) {
        self.spread.set(self.spread.get().settled(passes_a_process));
    }

    /// Whether the pass of a number goes to the same process as the one before it.
    pub fn stays_for(&self, number: usize) -> bool {
        self.spread.get().stays_for(number)
    }

    /// Runs passes as long as `next` says so, from a number on; sinks get the requests of each. With a calibration's second half
    /// the numbers go on, and the seeds begin anew. What was complete before an error is given beside it.
    pub fn run(
        &self,
        from: usize,
        of: Option<usize>,
        sinks: &RefCell<Sinks>,
        next: impl Fn(&[PassMetrics]) -> bool,
    ) -> Result<Passes, RunError> {
        let mut run = Passes::default();
        for number in from.. {
            if !next(&run.whole) {
                break;
            }
            let Ran { pass, records, stopped, unsaved, after } = match self.pass(number, of, sinks) {
                Ok(ran) => ran,
                Err(error) if run.whole.is_empty() => return Err(error),
                Err(error) => {
                    run.ended = Some(error);
                    break;
                }
            };
            // Of many passes, what the last one met.
            if !unsaved.is_empty() {
                run.unsaved = unsaved;
            }
            let Some(why) = stopped else {
                run.whole.push(pass);
                run.records = records;
                if after.is_some() {
                    run.ended = after;
                    break;
                }
                continue;
            };
            let error = self.why_stopped(number, &pass, why);
            if pass.completed > 0 {
                if run.whole.is_empty() {
                    run.records = records;
                }
                run.cut = Some(pass);
            } else if run.whole.is_empty() {
                return Err(error);
            }
            run.ended = Some(error);
            break;
        }
        Ok(run)
    }

    fn pass(&self, number: usize, of: Option<usize>, sinks: &RefCell<Sinks>) -> Result<Ran, RunError> {
        let Benchmark { name, workload: spec, load, .. } = self.benchmark;
        let draw = match self.half {
            Half::First => number,
            Half::Second => number - spec.sample_size,
        };
        let mut workload = match draw {
            0 => self.first.clone(),
            draw => self.session.sources.prompts(spec, seed_of(spec, load, self.half, draw))?,
        };
        let digest = digest(&workload, spec).to_string();
        let tokenizer = self.session.sources.tokenizer(spec.tokenizer.as_ref())?;
        // Others in each pass of each benchmark.
        let nonce_seed = spec.cache_bust.then(|| hash_of(&format!("{} {name} {number}", self.session.nonce_seed)));
        if let Some(seed) = nonce_seed {
            workload.prompts = with_nonces(&workload.prompts, &tokenizer, spec.sampler, seed)?;
        }
        if self.spread.get().renews_for(number) && !self.session.started.is_cold() {
            self.session.renew();
        }
        self.session.keep_up(&self.server, |line| self.output.status(line))?;
        if self.session.started.is_cold() {
            self.warm_up()?;
        }
        self.processes.borrow_mut().insert(self.session.started.processes());
        self.session.hook("before_pass", |hooks| &hooks.before_pass)?;
        self.note_sent(&workload);
        self.session.check_stopped()?;
        let whose = self.session.name().map_or_else(String::new, |name| format!(" on {name}"));
        let of = of.map_or_else(String::new, |of| format!("/{of}"));
        let title = format!("{name}{whose}: pass {}{of}", number + 1);
        if !stderr().is_terminal() {
            self.output.status(&format!("Benchmarking {title}"));
        }
        let share = self.session.shards.as_deref().map_or_else(Share::default, |of| Share { rank: 0, of: of.shards() });
        let own = share.count(workload.prompts.len());
        let extent = spec.duration.map_or(Extent::Requests(own), Extent::Time);
        let progress = Progress::new(&title, extent, self.session.eta.begin(name), self.output.quiet);
        let started_at = timestamp();
        let prefix = request_id_prefix(&format!("p{number}"));
        let scraping = self.scraper.as_ref().map(Scraper::begin);
        let watch = HostWatch::start(self.session.started.group());
        let own = |part: Part| send(self.session, self.benchmark, &self.server, &workload, progress, &prefix, part);
        let together = self.session.shards.as_deref().map(|leader| {
            let (sent, drawn) = ((&workload, digest.as_str()), (nonce_seed, prefix.as_str()));
            let report = self.report(Passes::default(), Some(&RunError::Interrupted), None);
            let known = (started_at.as_str(), &report);
            Together::of(self.session, leader, self.benchmark, &self.server, sent, drawn, known)
        });
        let run = match &together {
            None => own(Part::whole(self.session)).map(|run| (run, Vec::new())),
            Some(together) => together.run(own),
        };
        let (mut host, server_use) = watch.stop();
        let scraped = scraping.map(Scraping::over);
        let (mut run, others) = run?;
        if self.session.runs_elsewhere_here() {
            // The server is one of the others.
            host.others_cores = None;
        }
        count_output_tokens(&mut run.records, &tokenizer).map_err(RunError::Count)?;
        let shards = together.map_or_else(Vec::new, |together| together.merge(&mut run, host, others));
        // Those that were sent again within the pass.
        self.sent.borrow_mut().1 += run.records.iter().filter(|r| r.index >= workload.prompts.len()).count();
        let mut pass = numbers(&run, (shards, share.of), load, workload.seed, started_at);
        self.session.eta.ended(name, pass.duration_s);
        (pass.host, pass.server) = (Some(host), server_use);
        let given_up =
            run.records.iter().filter(|record| !record.is_completed()).map(|r| u64::from(r.requested_tokens));
        let given_up_before = self.given_up.replace(given_up.sum());
        let told = scraped.map(|scraped| scraped.of(Ours::of(&run.records, given_up_before), pass.duration_s));
        let told = told.unwrap_or_default();
        let identity = self.session.identity();
        let sent = PassSent {
            benchmark: name,
            server: self.session.name(),
            identity: &identity,
            number,
            request_id_prefix: &prefix,
            records: &run.records,
            gauges: &told.gauges,
        };
        let unsaved = sinks.borrow_mut().pass(&sent);
        (pass.server_metrics, pass.scraped, pass.gpu) = (told.server, told.scraped, told.gpu);
        if pass.cached_tokens.is_none() {
            pass.cached_tokens = pass.server_metrics.as_ref().and_then(ServerMetrics::cached_tokens_of_this_client);
        }
        pass.good = spec.goodput.as_ref().map(|goodput| goodput.count(&run.records));
        pass.conversations = Conversations::of(&run.records, &workload.prompts);
        pass.digest = digest;
        pass.instance = Some(self.session.started.processes()).filter(|processes| *processes > 0);
        let after = self.session.hook("after_pass", |hooks| &hooks.after_pass).err();
        if pass.completed == 0 && run.stopped.is_none() {
            return Err(all_failed(number, &pass));
        }
        Ok(Ran { pass, records: run.records, stopped: run.stopped, unsaved, after })
    }

    /// Counts the prompts that are sent once more.
    fn note_sent(&self, workload: &Prompts) {
        let (sent, repeated) = &mut *self.sent.borrow_mut();
        for prompt in &workload.prompts {
            let mut hash = DefaultHasher::new();
            prompt.before.last().map(|message| &message.content).hash(&mut hash);
            prompt.text.hash(&mut hash);
            *repeated += usize::from(!sent.insert(hash.finish()));
        }
    }

    fn why_stopped(&self, number: usize, pass: &PassMetrics, why: StopReason) -> RunError {
        if let Some(Err(lost)) = self.session.shards.as_deref().map(Leader::check) {
            return lost.into();
        }
        match why {
            StopReason::Interrupted => RunError::Interrupted,
            _ if pass.completed == 0 => all_failed(number, pass),
            StopReason::Failures | StopReason::Error => RunError::TooManyFailures {
                pass: number,
                failed: pass.failed,
                sent: pass.completed + pass.failed,
                prompts: match self.benchmark.workload.duration {
                    Some(time) => format!("those of {}", humantime::format_duration(time)),
                    None => format!("its {}", self.benchmark.workload.num_prompts),
                },
                budget: self.benchmark.workload.max_failures,
                failures: failures(pass),
            },
        }
    }

    /// Puts passes into a report; `ended` is why there are fewer than were wanted, if so.
    pub fn report(&self, run: Passes, ended: Option<&RunError>, commit: Option<Commit>) -> Report {
        let Passes { whole, cut, records, .. } = run;
        let Benchmark { name, workload: spec, load, .. } = self.benchmark;
        let sampling = &spec.sampling;
        let level = self.session.plan.confidence_level;
        let resolve = self.session.plan.resolve.map(|resolve| resolve.change);
        // A pass that was cut short is shown, but estimates rest on whole ones, where there are any.
        let estimates = match (whole.as_slice(), &cut) {
            ([pass], _) | ([], Some(pass)) => estimates_within(pass, &records, level),
            (passes, _) => estimates(passes, level, Stopping::of(resolve)),
        };
        let partial = ended.map(|error| Partial {
            why: error.stop_reason(),
            passes_wanted: if resolve.is_some() { whole.len() + 1 } else { spec.sample_size },
            last_pass_cut: cut.is_some(),
        });
        let passes: Vec<PassMetrics> = whole.into_iter().chain(cut).collect();
        Report {
            schema_version: SCHEMA_VERSION,
            id: name.clone(),
            run_id: self.session.run_id(),
            tachometer_version: env!("CARGO_PKG_VERSION").to_owned(),
            package: package(),
            workload: WorkloadReport {
                name: spec.name.clone(),
                digest: self.digest.to_string(),
                dataset: spec.dataset.to_string(),
                sampler: spec.sampler,
                seed: spec.seed,
                num_prompts: spec.num_prompts,
                duration_s: spec.duration.map(|time| time.as_secs_f64()),
                prompt_tokens_counted_by: self.session.sources.counted_by(spec),
                api: sampling.api,
                stream: sampling.stream,
                ignore_eos: sampling.ignore_eos,
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                max_tokens: sampling.max_tokens,
                history_from: history_from(&self.first.prompts, spec),
                think_time: spec.think_time.filter(|_| has_turns(&self.first.prompts)).map(|time| time.to_string()),
                trace_window: spec.trace_window.map(|window| window.to_string()),
                batch: (spec.batch > 1).then_some(spec.batch),
                max_tokens_field: Some(sampling.max_tokens_field.clone()),
                include_usage: Some(sampling.include_usage),
                extra_body: Some(sampling.extra_body.clone()),
                warmup: match spec.warmup_at(load) {
                    Warmup::Requests(requests) => requests,
                    Warmup::Time(_) => 0,
                },
                warmup_s: match spec.warmup_at(load) {
                    Warmup::Requests(_) => None,
                    Warmup::Time(time) => Some(time.as_secs_f64()),
                },
                goodput: spec.goodput.as_ref().map(ToString::to_string),
                fresh_prompts: spec.fresh_prompts,
                nonce_seed: spec.cache_bust.then_some(self.session.nonce_seed),
            },
            load: load.clone(),
            server: ServerReport {
                url: self.server.target.url.to_string(),
                model: visible(&self.server.model).into_owned(),
                embedded: self.server.embedded,
                name: self.session.name().map(str::to_owned),
                revision: self.session.started.revision(),
                instances: self.session.name().map(|_| self.processes.borrow().len()),
                gpus: self.session.plan.gpus,
                facts: self.session.facts(),
            },
            commit,
            host: this_host(),
            command: self.session.command.clone(),
            shards: self.session.shards.as_deref().map(Leader::shards),
            started_at: passes.first().map(|pass| pass.started_at.clone()).unwrap_or_default(),
            confidence_level: level,
            estimates,
            objectives: Vec::new(),
            passes,
            resolve,
            cache: self.cache.clone().map(|cache| Cache { repeated: self.sent.borrow().1, ..cache }),
            comparison: None,
            boundary: None,
            point_of: self.benchmark.point_of.clone(),
            partial,
        }
    }
}

/// Of a warm-up that goes on for a time.
const WARMUP_PROMPTS: usize = 64;

pub(super) fn all_failed(number: usize, pass: &PassMetrics) -> RunError {
    RunError::AllFailed { pass: number, requests: pass.failed, failures: failures(pass) }
}

/// Each class with its count and one example.
fn failures(pass: &PassMetrics) -> String {
    let example = |class: &String| pass.failure_examples.get(class).cloned().unwrap_or_default();
    let failures: Vec<String> =
        pass.failures.iter().map(|(class, n)| format!("{n} {class}: {}", example(class))).collect();
    failures.join("; ")
}

/// The package that cargo runs this for.
pub fn package() -> Option<String> {
    std::env::var("CARGO_PKG_NAME").ok()
}
