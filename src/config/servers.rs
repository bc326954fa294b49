//! Servers by name: `[server.NAME]` of the file, and those that code starts.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{ConfigError, seconds::seconds};
use crate::server::{Hooks, Launch, Readiness, Restart, Serve};

/// A server that is started, or that has a URL, under a name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NamedServer {
    /// Where it runs already.
    pub url: Option<String>,
    /// Program and arguments that start it; `{port}`, `{url}` and `{dir}` stand for a free port, its URL, and its folder.
    pub command: Vec<String>,
    /// Program and arguments that build it first.
    pub build: Vec<String>,
    /// The git revision to build and start; build and command are those of the first server that has them, if not given here.
    pub revision: Option<String>,
    /// Environment variables for it.
    pub environment: BTreeMap<String, String>,
    /// Where it is built and started, if not beside the file.
    pub directory: Option<PathBuf>,
    /// `http:/path`, `line:what it prints`, or `port`; if not given, `/health`, then `/v1/models`.
    pub ready: Option<String>,
    /// How long that may take, in seconds: 60 if not given.
    pub ready_timeout: Option<f64>,
    /// How long it may take to end after SIGTERM, in seconds: 10 if not given.
    pub stop_timeout: Option<f64>,
    /// When it is started anew: `never`, `benchmark` or `pass`; if not given, as `instances` says.
    pub restart: Option<Restart>,
    /// A function of the program itself that serves; in code alone.
    #[serde(skip)]
    pub in_process: Option<Serve>,
    /// Program and arguments to run before the warm-up of each benchmark.
    pub before_benchmark: Vec<String>,
    /// Program and arguments to run after the last pass of each benchmark.
    pub after_benchmark: Vec<String>,
    /// Program and arguments to run before each pass.
    pub before_pass: Vec<String>,
    /// Program and arguments to run after each pass.
    pub after_pass: Vec<String>,
}

impl NamedServer {
    /// What runs around what is measured.
    pub(super) fn hooks(&self) -> Hooks {
        Hooks {
            before_benchmark: self.before_benchmark.clone(),
            after_benchmark: self.after_benchmark.clone(),
            before_pass: self.before_pass.clone(),
            after_pass: self.after_pass.clone(),
        }
    }
}

/// Those of code and file, by their names and in their order.
pub(super) type NamedServers<'a> = [(&'a str, &'a NamedServer)];

const READY_S: f64 = 60.0;
const STOP_S: f64 = 10.0;

/// How one of them is started; `None` where it runs already.
pub(super) fn launch(
    name: &str,
    server: &NamedServer,
    all: &NamedServers,
    folder: &std::path::Path,
) -> Result<Option<Launch>, ConfigError> {
    let error = |key: &str, why: &str| ConfigError::value(&format!("server.{name}.{key}"), why);
    if server.url.is_some() {
        let starts = !server.command.is_empty() || !server.build.is_empty() || server.revision.is_some();
        return if starts {
            Err(error("url", "a server with a URL runs already: leave out what starts it"))
        } else {
            Ok(None)
        };
    }
    // Another build of what another one starts.
    let like = all.iter().map(|(_, other)| *other).find(|other| !other.command.is_empty());
    let like = like.filter(|_| server.revision.is_some() && server.command.is_empty()).unwrap_or(server);
    let first = |own: &Vec<String>, like: &Vec<String>| if own.is_empty() { like.clone() } else { own.clone() };
    let command = first(&server.command, &like.command);
    if command.is_empty() {
        return Err(error("command", "give the command that starts it, or the url where it runs"));
    }
    let readiness = server.ready.as_ref().or(like.ready.as_ref());
    let ready = readiness.map(|text| text.parse::<Readiness>().map_err(|why| error("ready", &why))).transpose()?;
    let time = |key: &str, own: Option<f64>, like: Option<f64>, default: f64| -> Result<Duration, ConfigError> {
        seconds(&format!("server.{name}.{key}"), own.or(like).unwrap_or(default))
    };
    let mut environment = like.environment.clone();
    environment.extend(server.environment.clone());
    let directory = server.directory.as_ref().or(like.directory.as_ref());
    Ok(Some(Launch {
        name: name.to_owned(),
        command,
        build: first(&server.build, &like.build),
        revision: server.revision.clone(),
        environment: environment.into_iter().collect(),
        folder: directory.map_or_else(|| folder.to_owned(), |directory| folder.join(directory)),
        ready: ready.unwrap_or_default(),
        ready_timeout: time("ready_timeout", server.ready_timeout, like.ready_timeout, READY_S)?,
        stop_timeout: time("stop_timeout", server.stop_timeout, like.stop_timeout, STOP_S)?,
        restart: server.restart.or(like.restart),
    }))
}
