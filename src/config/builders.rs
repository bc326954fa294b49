//! What to run, said in code: the same settings by the same names.

use std::{path::PathBuf, time::Duration};

use super::{
    NamedServer,
    rows::rows,
    settings::{FailOn, JsonObject, Settings, Turns},
    sweep::{Loads, SweepRange},
    warmup::Warmup,
};
use crate::{
    client::Api,
    dataset::{Dataset, Distribution, HistoryFrom, OwnPrompts, Policy, Prompt, SystemTurns, TraceWindow},
    engine::EngineConfig,
    load::{Arrival, FailureBudget, RequestRate, Searched},
    metrics::{Goodput, Metric},
    report::{CsvFormat, OutputFormat},
    server::{Hooks, Restart, Serve},
};

/// What to run, as code says it: over `tachometer.toml`, and under flags and environment variables.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Code {
    pub(super) settings: Settings,
    pub(super) servers: Vec<(String, NamedServer)>,
    pub(super) workloads: Vec<Workload>,
}

impl Code {
    /// Whether it says anything of a setting.
    pub(super) fn has(&self, setting: &str) -> bool {
        self.settings.has(setting) || self.workloads.iter().any(|workload| workload.settings.has(setting))
    }

    /// Measures this server.
    pub fn set_server(&mut self, server: Server) {
        self.settings = server.settings.over(&self.settings);
        self.servers.extend(server.named);
    }

    /// Runs this workload; one of the same name in the file gives what is left open here.
    pub fn add_workload(&mut self, workload: Workload) {
        self.workloads.push(workload);
    }

    /// What holds for all workloads that say nothing else.
    pub fn set_defaults(&mut self, defaults: Workload) {
        self.settings = defaults.settings.over(&self.settings);
    }
}

/// The server to measure, and the way to it.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Server {
    settings: Settings,
    named: Option<(String, NamedServer)>,
}

impl Server {
    /// A running server: `http://127.0.0.1:8000`, `https://…`, or `unix:/path/of/a/socket`; without a scheme http is meant.
    pub fn url(url: impl Into<String>) -> Self {
        Self { settings: Settings { server: Some(url.into()), ..Settings::default() }, named: None }
    }

    /// The embedded engine, which is measured where no server is named.
    pub fn embedded(engine: EngineConfig) -> Self {
        Self { settings: Settings { engine: Some(engine), ..Settings::default() }, named: None }
    }

    /// A server that each run starts: program and arguments, in which `{port}` stands for a free port. It is called `head` in reports,
    /// or what `name` says.
    ///
    /// ```no_run
    /// use tachometer::{Harness, Server};
    ///
    /// let server = Server::command(["./target/release/gateway", "--port", "{port}"]).ready("http:/health");
    /// Harness::from_env().server(server).main();
    /// ```
    pub fn command(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self { named: Some(("head".to_owned(), NamedServer { command, ..NamedServer::default() })), ..Self::default() }
    }

    /// A server of the program itself: a function that serves on a listener until it is dropped. It is called `head` in reports, or
    /// what `name` says. It shares the machine's cores with the clients, on a thread of its own.
    ///
    /// ```no_run
    /// use tachometer::{Harness, Server};
    ///
    /// async fn gateway(listener: std::net::TcpListener) {
    ///     let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    ///     # let _ = listener;
    ///     // axum::serve(listener, router).await.unwrap();
    /// }
    /// Harness::from_env().server(Server::in_process(gateway)).main();
    /// ```
    pub fn in_process<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(std::net::TcpListener) -> F + Send + Sync + 'static,
    ) -> Self {
        let server = NamedServer { in_process: Some(Serve::new(serve)), ..NamedServer::default() };
        Self { named: Some(("head".to_owned(), server)), ..Self::default() }
    }

    /// What a server that is started is called, as `[server.NAME]` would.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let (_, server) = self.named.take().unwrap_or_default();
        self.named = Some((name.into(), server));
        self
    }

    /// Program and arguments that build a server before it is started.
    pub fn build(self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.started(|server| server.build = command.into_iter().map(Into::into).collect())
    }

    /// How it is known that a server that was started is ready: `http:/path`, `line:what it prints`, or `port`.
    pub fn ready(self, ready: impl Into<String>) -> Self {
        self.started(|server| server.ready = Some(ready.into()))
    }

    /// An environment variable for a server that is started.
    pub fn environment(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.started(|server| _ = server.environment.insert(name.into(), value.into()))
    }

    /// Where a server is built and started, if not at the package root.
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        self.started(|server| server.directory = Some(directory.into()))
    }

    /// The git revision that is built and started, in a worktree of its own.
    pub fn revision(self, revision: impl Into<String>) -> Self {
        self.started(|server| server.revision = Some(revision.into()))
    }

    /// When a server is started anew, if `instances` does not say over how many processes passes are spread.
    pub fn restart(self, restart: Restart) -> Self {
        self.started(|server| server.restart = Some(restart))
    }

    /// How long a server may take to get ready, in seconds: 60 if not given.
    pub fn ready_timeout(self, seconds: f64) -> Self {
        self.started(|server| server.ready_timeout = Some(seconds))
    }

    /// How long a server may take to end after SIGTERM, in seconds: 10 if not given.
    pub fn stop_timeout(self, seconds: f64) -> Self {
        self.started(|server| server.stop_timeout = Some(seconds))
    }

    /// Commands around what is measured.
    pub fn hooks(self, hooks: Hooks) -> Self {
        self.started(|server| {
            server.before_benchmark = hooks.before_benchmark;
            server.after_benchmark = hooks.after_benchmark;
            server.before_pass = hooks.before_pass;
            server.after_pass = hooks.after_pass;
        })
    }

    fn started(mut self, set: impl FnOnce(&mut NamedServer)) -> Self {
        let (name, mut server) = self.named.take().unwrap_or_default();
        set(&mut server);
        self.named = Some((name, server));
        self
    }
}

/// What is sent, and how: a benchmark for each of its load points.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Workload {
    pub(super) name: String,
    pub(super) settings: Settings,
    /// In place of a dataset that a text names.
    pub(super) prompts: Option<Dataset>,
}

impl Workload {
    /// Of that name: letters, digits, `-`, `_` and `.`. What is not said of it is as in `tachometer.toml`, or else the default.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Of prompts of one's own: texts, texts with the number of tokens to ask for, or whole [`Prompt`](crate::dataset::Prompt)s. Which
    /// of them a pass sends, and in what order, its seed draws; all of them are sent where `num_prompts` is not set.
    ///
    /// ```no_run
    /// use tachometer::{Harness, Workload};
    ///
    /// let questions = ["Name three rivers.", "What is a tachometer?"];
    /// Harness::from_env().workload(Workload::from_prompts("questions", questions).max_tokens(64)).main();
    /// ```
    pub fn from_prompts(name: impl Into<String>, prompts: impl IntoIterator<Item = impl Into<Prompt>>) -> Self {
        let name = name.into();
        let prompts: Vec<Prompt> = prompts.into_iter().map(Into::into).collect();
        let number = prompts.len();
        let own = Dataset::new(OwnPrompts::new(name.clone(), prompts));
        Self { prompts: Some(own), ..Self::new(name) }.num_prompts(number)
    }
}

/// What stands for a value of a setting: the value itself, a text for a path or a name, an array for a list.
pub trait Given<T> {
    /// The value.
    fn given(self) -> T;
}

impl<T> Given<T> for T {
    fn given(self) -> T {
        self
    }
}

impl Given<String> for &str {
    fn given(self) -> String {
        self.to_owned()
    }
}

impl Given<PathBuf> for &str {
    fn given(self) -> PathBuf {
        self.into()
    }
}

impl<T, const N: usize> Given<Vec<Loads<T>>> for [T; N] {
    fn given(self) -> Vec<Loads<T>> {
        self.map(Loads::One).into()
    }
}

impl<T> Given<Vec<Loads<T>>> for Vec<T> {
    fn given(self) -> Vec<Loads<T>> {
        self.into_iter().map(Loads::One).collect()
    }
}

impl<T> Given<Vec<Loads<T>>> for SweepRange {
    fn given(self) -> Vec<Loads<T>> {
        vec![Loads::Sweep(self)]
    }
}

impl Given<Warmup> for usize {
    fn given(self) -> Warmup {
        self.into()
    }
}

impl Given<Warmup> for Duration {
    fn given(self) -> Warmup {
        self.into()
    }
}

impl Given<Vec<String>> for &str {
    fn given(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl<const N: usize> Given<Vec<String>> for [&str; N] {
    fn given(self) -> Vec<String> {
        self.map(str::to_owned).into()
    }
}

impl<T, const N: usize> Given<Vec<T>> for [T; N] {
    fn given(self) -> Vec<T> {
        self.into()
    }
}

macro_rules! builders {
    ($(
        $(#[doc = $doc:literal])+
        $(#[arg($($arg:tt)*)])?
        $(#[serde($($serde:tt)*)])?
        $(@$scope:ident)? $name:ident: $type:ty = $heading:ident $value:literal $kind:ident($($default:tt)*);
    )*) => {
        $(setter! { $($scope)?, $(#[doc = $doc])+ $name: $type })*
    };
}

/// A method on the builders that have the setting.
macro_rules! setter {
    (run, $($row:tt)*) => { setter! { @on Code, $($row)* } };
    (server, $($row:tt)*) => { setter! { @on Server, $($row)* } };
    (each, $($row:tt)*) => {
        setter! { @on Server, $($row)* }
        setter! { @on Workload, $($row)* }
    };
    (, $($row:tt)*) => { setter! { @on Workload, $($row)* } };
    (@on $builder:ident, $(#[$doc:meta])+ $name:ident: $type:ty) => {
        impl $builder {
            $(#[$doc])+
            pub fn $name(mut self, value: impl Given<$type>) -> Self {
                self.settings.$name = Some(value.given());
                self
            }
        }
    };
}

rows!(builders);
