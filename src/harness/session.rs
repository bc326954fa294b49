//! What the benchmarks of one run share: made when first needed, and once.

use std::{
    cell::{Cell, RefCell},
    hash::{BuildHasher, Hasher, RandomState},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use once_cell::unsync::OnceCell;
use tokio::runtime::Runtime;

use super::{
    RunError,
    eta::Eta,
    prompt_cache::{Probed, PromptsOf},
    sources::Sources,
    spread::Spread,
    started::Started,
};
use crate::{
    baseline::Store,
    client::{Headers, ServerError, ServerInfo, ServerUrl, Target, Trust, wait_until_ready},
    config::{self, MetricsPage, Plan, ServerSpec, Way},
    engine::Engine,
    load::{Stop, StopReason},
    report::warn,
    server::{Hooks, InProcess, Place, Restart, Scraper, Sought},
    shard::Leader,
};

/// How long a server may take to be gone once its connections have closed.
const LAST_BREATH: Duration = Duration::from_secs(3);

/// The lazily made parts of one run: of its one server, or of each of two.
pub struct Session<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// What is measured.
    spec: &'a ServerSpec,
    /// Ends the run early.
    pub stop: Stop,
    store: Store,
    engine: OnceCell<Engine>,
    in_process: OnceCell<InProcess>,
    info: OnceCell<ServerInfo>,
    /// Where prompts come from: the same ones for both servers.
    pub sources: Rc<Sources>,
    /// The server, where this run starts it.
    pub started: Started,
    /// What was sent in this run so far.
    sent: RefCell<Vec<Sent>>,
    /// Whether its page of metrics was looked for in vain.
    has_no_metrics: Cell<bool>,
    has_told_of_metrics: Cell<bool>,
    /// Whether the server caches prompts, once that was tried.
    pub probed: OnceCell<Probed>,
    /// Draws what must be another thing in every run.
    pub nonce_seed: u64,
    /// What started this process, without what is secret.
    pub command: String,
    /// How long the run will still take.
    pub eta: Rc<Eta>,
    /// The other shards of the run, where there are such.
    pub shards: Option<Rc<Leader>>,
    /// Whether it is the server that is measured in turn with the first.
    pub is_against: bool,
}

/// Prompts that went to the server.
struct Sent {
    benchmark: String,
    prompts: PromptsOf,
}

/// The server, and what is sent to it beside prompts.
pub struct Server {
    /// Where it is.
    pub target: Arc<Target>,
    /// The key among them.
    pub headers: Headers,
    /// The model that is asked for.
    pub model: String,
    /// Whether it is the embedded engine.
    pub embedded: bool,
}

impl<'a> Session<'a> {
    /// For this plan's server; nothing is made yet.
    pub fn new(plan: &'a Plan, store: Store, stop: Stop) -> Self {
        Self::of(&plan.server, plan, store, stop)
    }

    fn of(spec: &'a ServerSpec, plan: &'a Plan, store: Store, stop: Stop) -> Self {
        let hidden = spec.way().map_or_else(Headers::default, |way| way.headers.clone());
        Self {
            plan,
            spec,
            started: Started::new(store.root(), stop.clone(), hidden),
            sources: Rc::new(Sources::new(Some(store.root().join("index")), stop.clone())),
            stop,
            store,
            engine: OnceCell::new(),
            in_process: OnceCell::new(),
            info: OnceCell::new(),
            sent: RefCell::default(),
            probed: OnceCell::new(),
            has_no_metrics: Cell::default(),
            has_told_of_metrics: Cell::default(),
            // The standard library seeds its hash maps by the system's randomness. Short enough for JSON's numbers.
            nonce_seed: RandomState::new().build_hasher().finish() >> 12,
            command: String::new(),
            eta: Rc::default(),
            shards: None,
            is_against: false,
        }
    }

    /// The same run's other server: with the same prompts.
    pub fn beside(&self, spec: &'a ServerSpec) -> Self {
        Self {
            sources: self.sources.clone(),
            nonce_seed: self.nonce_seed,
            eta: self.eta.clone(),
            command: self.command.clone(),
            shards: self.shards.clone(),
            is_against: true,
            ..Self::of(spec, self.plan, self.store.clone(), self.stop.clone())
        }
    }

    /// Where the files of all runs are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Tells this run from all others.
    pub fn run_id(&self) -> String {
        format!("{:013x}", self.nonce_seed)
    }

    /// The benchmark of this run that has sent some of these prompts already, if one has.
    pub fn sent_by(&self, prompts: &PromptsOf) -> Option<String> {
        let sent = self.sent.borrow();
        sent.iter().find(|sent| sent.prompts.overlap(prompts)).map(|sent| sent.benchmark.clone())
    }

    /// Notes that a benchmark sends these prompts.
    pub fn note_sent(&self, benchmark: &str, prompts: PromptsOf) {
        self.sent.borrow_mut().push(Sent { benchmark: benchmark.to_owned(), prompts });
    }

    /// What reads the server's own metrics, and those of its GPUs, where there are such.
    pub fn scraper(&self, server: &Server) -> Option<Scraper> {
        let Plan { metrics, gpu_metrics, scrape, .. } = self.plan;
        let wants = gpu_metrics.is_some() || !scrape.is_empty();
        if server.embedded && wants && !self.has_told_of_metrics.replace(true) {
            warn("--scrape and --gpu-metrics have no effect: no metrics are read from the embedded engine".to_owned());
        }
        let url = match metrics {
            _ if server.embedded || self.has_no_metrics.get() => return None,
            MetricsPage::Off if gpu_metrics.is_none() => return None,
            MetricsPage::Off | MetricsPage::Own => None,
            MetricsPage::Url(url) => Some(url.as_str()),
        };
        let sought = Sought { own: *metrics != MetricsPage::Off, url, gpu_url: gpu_metrics.as_deref(), wanted: scrape };
        let found = Scraper::find(&server.target, &server.headers, &sought);
        // It is not asked again by the next benchmark, or the next step of a search.
        self.has_no_metrics.set(found.is_none());
        if self.has_told_of_metrics.replace(true) {
            return found;
        }
        let (server_page, gpu_page) = found.as_ref().map_or((false, false), Scraper::has_pages);
        if let (false, Some(url)) = (server_page, url) {
            warn(format!("no server metrics could be read at {url}: they are not used"));
        }
        if let (false, Some(url)) = (gpu_page, gpu_metrics) {
            warn(format!("no metrics of NVIDIA's DCGM exporter could be read at {url}: they are not used"));
        }
        for missing in found.as_ref().map_or_else(|| scrape.clone(), Scraper::missing) {
            warn(format!("--scrape: no page has a metric {} so far", missing.name));
        }
        found
    }

    /// Ends what is under way where the run was interrupted.
    pub fn check_stopped(&self) -> Result<(), RunError> {
        match self.stop.reason() {
            Some(StopReason::Interrupted) => Err(RunError::Interrupted),
            _ => Ok(()),
        }
    }

    /// The embedded engine, running; `None` where a live server is measured.
    pub fn engine(&self) -> Result<Option<&Engine>, RunError> {
        let ServerSpec::Embedded(config) = self.spec else { return Ok(None) };
        let start = || Engine::start(config.clone(), self.sources.tokenizer(None)?, 0).map_err(RunError::Engine);
        self.engine.get_or_try_init(start).map(Some)
    }

    /// The server of a workload's requests, asked for its models the first time. Where it is not ready, `tell` hears why it
    /// is waited for.
    pub fn server(
        &self,
        workload: &config::WorkloadPlan,
        patience: Duration,
        tell: impl Fn(&str),
    ) -> Result<Server, RunError> {
        let of = |way: &Way| (way.headers.clone(), way.trust.clone(), false);
        let (url, (headers, trust, embedded)) = match (self.spec, self.engine()?) {
            (ServerSpec::Live { url, way }, _) => (url.clone(), of(way)),
            (ServerSpec::Started { way, .. }, _) => {
                let url = format!("http://127.0.0.1:{}", self.started.port()?);
                (ServerUrl::parse(&url).map_err(RunError::Setup)?, of(way))
            }
            (ServerSpec::InProcess { serve, way, .. }, _) => {
                let start = || InProcess::start(serve).map_err(RunError::Engine);
                let url = self.in_process.get_or_try_init(start)?.url();
                (ServerUrl::parse(&url).map_err(RunError::Setup)?, of(way))
            }
            (ServerSpec::Embedded(_), Some(engine)) => {
                let url = ServerUrl::parse(&engine.url()).map_err(RunError::Setup)?;
                (url, (Headers::default(), Trust::default(), true))
            }
            (ServerSpec::Embedded(_), None) => return Err(RunError::Setup("there is no engine".to_owned())),
        };
        let target = Target::new(url, workload.timeouts, &trust).map_err(RunError::Setup)?;
        let target = Arc::new(target);
        if let Some(proxy) = &target.proxy {
            tell(&format!("{} is measured through the proxy {proxy}, which the environment names", target.url));
        }
        let runtime = runtime()?;
        if let ServerSpec::Started { launch, .. } = self.spec {
            self.started.ensure(launch, (&target, &headers), runtime.get(), &tell)?;
        } else if !embedded && !patience.is_zero() {
            let wait = wait_until_ready(&target, &headers, patience, tell);
            runtime.block_on(self.stop.unless_stopped(wait)).unwrap_or(Err(ServerError::Interrupted))?;
        }
        let ask = || {
            let asked = runtime.block_on(self.stop.unless_stopped(ServerInfo::ask(&target, &headers)));
            asked.unwrap_or(Err(ServerError::Interrupted)).map_err(RunError::from)
        };
        let info = self.info.get_or_try_init(ask)?;
        let model = info.choose_model(&target, workload.model.as_deref())?;
        if let Some(doubt) = info.doubt(&model) {
            warn(doubt);
        }
        Ok(Server { target, headers, model, embedded })
    }

    /// Starts the server anew, where this run starts it and it was ended.
    pub fn keep_up(&self, server: &Server, tell: impl Fn(&str)) -> Result<(), RunError> {
        let ServerSpec::Started { launch, .. } = self.spec else { return Ok(()) };
        let runtime = runtime()?;
        self.started.ensure(launch, (&server.target, &server.headers), runtime.get(), &tell)
    }

    /// Ends the process of a server that this run starts, where another one is due: for a benchmark that begins.
    pub fn renew_for_benchmark(&self) {
        let ServerSpec::Started { launch, .. } = self.spec else { return };
        let keeps = match self.plan.instances {
            Some(instances) => instances == 1,
            None => launch.restart == Some(Restart::Never),
        };
        // One that has ended on its own fails no other benchmark.
        if self.started.died().is_some() || !keeps && !self.started.is_cold() {
            self.renew();
        }
    }

    /// Ends the process of a server that this run starts: the next one is started when it is needed.
    pub fn renew(&self) {
        self.started.end();
        // Another process knows none of the prompts.
        self.sent.borrow_mut().clear();
    }

    /// How passes are spread over processes of the server.
    pub fn spread(&self, sample_size: usize) -> Spread {
        match self.spec {
            ServerSpec::Started { launch, .. } => Spread::of(self.plan.instances, launch.restart, sample_size),
            _ => Spread::One,
        }
    }

    /// Runs a command around what is measured, if there is one.
    pub fn hook(&self, what: &'static str, of: impl Fn(&Hooks) -> &Vec<String>) -> Result<(), RunError> {
        let (way, place) = match self.spec {
            ServerSpec::Embedded(_) => return Ok(()),
            ServerSpec::Started { launch, way } => (way, launch.place(self.started.port()?)),
            ServerSpec::InProcess { name, way, .. } => {
                let url = self.in_process.get().map_or_else(String::new, InProcess::url);
                (way, Place { name: name.clone(), url, folder: way.folder.clone(), ..Place::default() })
            }
            ServerSpec::Live { url, way } => {
                let (name, port, folder) = (url.host.clone(), url.port, way.folder.clone());
                (way, Place { name, port, folder, url: url.to_string(), ..Place::default() })
            }
        };
        self.started.run_hook(what, of(&way.hooks), &place)
    }

    /// Why requests fail, where the server has ended on its own.
    pub fn why_died(&self) -> Option<RunError> {
        self.name()?;
        // Its connections close a little before it is gone.
        let asked = Instant::now();
        loop {
            let returned = self.in_process.get().is_some_and(InProcess::has_ended);
            let returned = returned.then_some(RunError::Returned);
            let why = self.started.died().or(returned);
            if why.is_some() || asked.elapsed() >= LAST_BREATH || self.check_stopped().is_err() {
                return why;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the server is a program on this machine that the run did not start.
    pub fn runs_elsewhere_here(&self) -> bool {
        matches!(self.spec, ServerSpec::Live { url, .. } if url.is_loopback())
    }

    /// What the run calls the server, where it starts it.
    pub fn name(&self) -> Option<&str> {
        match self.spec {
            ServerSpec::Started { launch, .. } => Some(&launch.name),
            ServerSpec::InProcess { name, .. } => Some(name),
            ServerSpec::Embedded(_) | ServerSpec::Live { .. } => None,
        }
    }

    /// What tells the server from others in the files of earlier runs.
    pub fn identity(&self) -> String {
        self.spec.identity()
    }

    /// The server of a workload, before its dataset is read, which can take long. What else is missing is told with it.
    ///
    /// # Errors
    /// Where a file is not there, or the server can't be measured.
    pub fn ready_for(&self, workload: &config::WorkloadPlan, tell: impl Fn(&str)) -> Result<Server, RunError> {
        let mut missing: Vec<RunError> = Vec::new();
        missing.extend(workload.dataset.find().err().map(RunError::from));
        missing.extend(self.sources.tokenizer(workload.tokenizer.as_ref()).err());
        // A server that comes up later does not help then.
        let patience = if missing.is_empty() { self.plan.wait_ready } else { Duration::ZERO };
        // And none is built in vain.
        if !missing.is_empty() && matches!(self.spec, ServerSpec::Started { .. }) {
            return Err(RunError::together(missing));
        }
        match self.server(workload, patience, tell) {
            Ok(server) if missing.is_empty() => return Ok(server),
            Ok(_) => {}
            Err(error) => missing.push(error),
        }
        Err(RunError::together(missing))
    }

    /// What the server says of itself; empty before [`Session::server`].
    pub fn facts(&self) -> serde_json::Map<String, serde_json::Value> {
        self.info.get().map(|info| info.facts.clone()).unwrap_or_default()
    }
}

/// A runtime that waits for nothing when it is dropped: the system's search for a name can take long, and can't be stopped.
struct Impatient(Option<Runtime>);

fn runtime() -> Result<Impatient, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(Impatient(Some(runtime.map_err(|e| RunError::Setup(e.to_string()))?)))
}

impl Impatient {
    fn get(&self) -> &Runtime {
        match &self.0 {
            Some(runtime) => runtime,
            None => unreachable!("it is there until it is dropped"),
        }
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.get().block_on(future)
    }
}

impl Drop for Impatient {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
