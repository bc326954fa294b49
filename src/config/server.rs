//! The server of a plan: where it is, the way to it, and how long it may take.

use std::path::{Path, PathBuf};

use super::{
    ConfigError,
    seconds::seconds,
    servers::{NamedServers, launch},
    settings::Values,
};
use crate::{
    client::{Api, Headers, ServerUrl, Timeouts, Trust},
    engine::EngineConfig,
    metrics::{Quantity, Scrape},
    run,
    server::{Hooks, Launch, Serve},
};

/// Where the server's own metrics are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsPage {
    /// On the server, where it has such a page.
    Own,
    /// At that URL.
    Url(String),
    /// Nowhere.
    Off,
}

/// As `--metrics` says.
pub(super) fn metrics_page(top: &Values) -> Result<MetricsPage, ConfigError> {
    Ok(match top.metrics.as_deref() {
        None => MetricsPage::Own,
        Some("off") => MetricsPage::Off,
        Some(url) if top.against.is_some() => {
            let why = format!("`{url}` belongs to one server, but --against measures two, each with its own page");
            return Err(ConfigError::value("--metrics", why));
        }
        Some(url) if is_http(url) => MetricsPage::Url(url.to_owned()),
        Some(url) => return Err(ConfigError::value("--metrics", format!("`{url}` is neither an http URL nor off"))),
    })
}

fn is_http(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|parsed| matches!(parsed.scheme(), "http" | "https"))
}

/// As `--gpu-metrics` says.
pub(super) fn gpu_metrics(top: &Values) -> Result<Option<String>, ConfigError> {
    match &top.gpu_metrics {
        Some(url) if !is_http(url) => Err(ConfigError::value(
            "--gpu-metrics",
            format!("`{url}` is not an http URL such as http://127.0.0.1:9400/metrics"),
        )),
        url => Ok(url.clone()),
    }
}

/// As `--scrape` says. From then on they are among all metrics.
pub(super) fn scrapes(top: &Values) -> Result<Vec<Scrape>, ConfigError> {
    let wanted = top.scrape.as_deref().unwrap_or_default();
    if !wanted.is_empty() && top.metrics.as_deref() == Some("off") && top.gpu_metrics.is_none() {
        return Err(ConfigError::value("--scrape", "it reads metrics pages, and --metrics off turns them off"));
    }
    let parse = |text: &String| text.parse().map_err(|why: String| ConfigError::value("--scrape", why));
    let scrapes = wanted.iter().map(parse).collect::<Result<Vec<Scrape>, ConfigError>>()?;
    scrapes.iter().for_each(|scrape| _ = Quantity::scraped(scrape));
    Ok(scrapes)
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum ServerSpec {
    /// The simulated engine in this process.
    Embedded(EngineConfig),
    /// A running server.
    Live {
        /// Where it is.
        url: ServerUrl,
        /// How it is reached.
        way: Way,
    },
    /// A function of the program itself that serves.
    InProcess {
        /// What it is called.
        name: String,
        /// The function.
        serve: Serve,
        /// How it is reached.
        way: Way,
    },
    /// A server that the run starts.
    Started {
        /// How.
        launch: Launch,
        /// How it is reached.
        way: Way,
    },
}

/// What a live server needs beside its address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Way {
    /// Sent with every request, the key among them.
    pub headers: Headers,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// What is run around benchmarks and passes.
    pub hooks: Hooks,
    /// Where that is run.
    pub folder: PathBuf,
}

impl ServerSpec {
    /// How it is reached; `None` for the embedded engine.
    pub fn way(&self) -> Option<&Way> {
        match self {
            Self::Embedded(_) => None,
            Self::Live { way, .. } | Self::InProcess { way, .. } | Self::Started { way, .. } => Some(way),
        }
    }

    /// What tells it from others in the files of earlier runs.
    pub fn identity(&self) -> String {
        match self {
            Self::Embedded(_) => run::EMBEDDED.to_owned(),
            Self::Live { url, .. } => url.to_string(),
            Self::Started { launch, .. } => launch.name.clone(),
            Self::InProcess { name, .. } => name.clone(),
        }
    }
}

/// What there is to choose from by name, and where its commands run.
pub(super) struct Named<'a> {
    pub servers: &'a NamedServers<'a>,
    pub folder: &'a Path,
}

/// The embedded engine, or the server that was named.
pub(super) fn server(top: &Values, named: &Named, tiny: bool, list: bool) -> Result<ServerSpec, ConfigError> {
    match top.server.as_ref().filter(|text| !tiny && is_live(text)) {
        Some(text) => live_server("--server", text, top, named, list),
        None => Ok(ServerSpec::Embedded(if tiny { tiny_engine() } else { top.engine.clone().unwrap_or_default() })),
    }
}

/// The second server of a comparison in turn: one of a name, one that runs, or the first one at a git revision.
pub(super) fn against(
    text: &str,
    first: &ServerSpec,
    top: &Values,
    named: &Named,
    list: bool,
) -> Result<ServerSpec, ConfigError> {
    let flag = "--against";
    let is_url = text.contains("://")
        || text.starts_with("unix:")
        || text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if text == first.identity() {
        let why = format!(
            "`{text}` is the server being measured: to compare it with itself, add a second table with another name"
        );
        return Err(ConfigError::value(flag, why));
    }
    if is_url || named.servers.iter().any(|(name, _)| *name == text) {
        return live_server(flag, text, top, named, list);
    }
    match first {
        ServerSpec::Started { launch, way } if !launch.build.is_empty() => {
            let mut launch = launch.clone();
            (launch.name, launch.revision) = (text.to_owned(), Some(text.to_owned()));
            Ok(ServerSpec::Started { launch, way: way.clone() })
        }
        ServerSpec::Started { launch, .. } => {
            let why = format!(
                "`{text}` is not a server in the file; to build it as a git revision, add a `build` to server.{}",
                launch.name
            );
            Err(ConfigError::value(flag, why))
        }
        _ => {
            let why = format!(
                "`{text}` is neither a URL nor a [server.NAME] in the file, and for a git revision the measured server needs a `build` and \
                 a `command`"
            );
            Err(ConfigError::value(flag, why))
        }
    }
}

/// A server by its name, or by its URL.
fn live_server(flag: &str, text: &str, top: &Values, named: &Named, list: bool) -> Result<ServerSpec, ConfigError> {
    let found = named.servers.iter().find(|(name, _)| *name == text);
    let mut way = way(top, named.folder, list)?;
    let text = match found {
        Some((name, server)) => {
            way.hooks = server.hooks();
            if let Some(serve) = &server.in_process {
                return Ok(ServerSpec::InProcess { name: (*name).to_owned(), serve: serve.clone(), way });
            }
            match (launch(name, server, named.servers, named.folder)?, &server.url) {
                (Some(launch), _) => return Ok(ServerSpec::Started { launch, way }),
                (None, url) => url.as_deref().unwrap_or_default(),
            }
        }
        None => text,
    };
    let url = ServerUrl::parse(text).map_err(|why| {
        ConfigError::value(flag, format!("`{}` is not a server URL: {why}", without_credentials(text)))
    })?;
    if let Some(path) = api_path(url.prefix.trim_end_matches('/')) {
        let why = format!("leave `{path}` out of the URL: tachometer adds the path of the API that --api selects");
        return Err(ConfigError::value(flag, why));
    }
    Ok(ServerSpec::Live { url, way })
}

fn way(top: &Values, folder: &Path, list: bool) -> Result<Way, ConfigError> {
    let mut headers = Headers::default();
    // Listing must work without the key.
    if let Some((flag, key)) = if list { None } else { api_key(top)? } {
        headers.set_key(&key).map_err(|why| ConfigError::value(flag, why))?;
    }
    for line in top.header.iter().flatten() {
        let (name, value) =
            line.split_once(':').ok_or_else(|| ConfigError::value("--header", "write a header as `name: value`"))?;
        if OWN_HEADERS.contains(&name.trim().to_ascii_lowercase().as_str()) {
            let why = format!("`{}` is set by tachometer and can't be changed", name.trim());
            return Err(ConfigError::value("--header", why));
        }
        headers.push(name.trim(), value).map_err(|why| ConfigError::value("--header", why))?;
    }
    let trust = match (&top.ca_file, top.insecure) {
        (Some(_), true) => {
            return Err(ConfigError::value("--insecure", "it turns off certificate checks: leave out --ca-file"));
        }
        (Some(path), false) => Trust::CaFile(path.clone()),
        (None, true) => Trust::Anyone,
        (None, false) => Trust::Platform,
    };
    Ok(Way { headers, trust, hooks: Hooks::default(), folder: folder.to_owned() })
}

/// What `--server` says for the engine in this process.
const EMBEDDED: &str = "embedded";

/// Whether that is a running server, and not the embedded engine.
pub(super) fn is_live(server: &str) -> bool {
    server != EMBEDDED
}

/// What frames a request and its answer.
const OWN_HEADERS: [&str; 6] =
    ["accept", "connection", "content-length", "content-type", "transfer-encoding", "x-request-id"];

/// The part at the end of a URL that is an API's path.
fn api_path(prefix: &str) -> Option<&'static str> {
    let paths = Api::all().flat_map(|api| [api.path(true), api.path(false)]);
    paths.chain(["/v1/models"]).filter(|path| prefix.ends_with(path)).max_by_key(|path| path.len())
}

/// The key, and the flag that named its place.
fn api_key(top: &Values) -> Result<Option<(&'static str, String)>, ConfigError> {
    match (&top.api_key_env, &top.api_key_file) {
        (Some(_), Some(_)) => Err(ConfigError::value("--api-key-file", "--api-key-env names another key: use one")),
        (Some(name), None) => match std::env::var(name) {
            Ok(key) if key.trim().is_empty() => {
                Err(ConfigError::value("--api-key-env", format!("the variable {name} is empty")))
            }
            Ok(key) => Ok(Some(("--api-key-env", key))),
            Err(_) => Err(ConfigError::value("--api-key-env", format!("the variable {name} is not set"))),
        },
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(key) if !key.trim().is_empty() => Ok(Some(("--api-key-file", key))),
            Ok(_) => Err(ConfigError::value("--api-key-file", format!("{} is empty", path.display()))),
            Err(e) => Err(ConfigError::value("--api-key-file", format!("{}: {e}", path.display()))),
        },
        (None, None) => Ok(None),
    }
}

/// The text of a URL, without what may be a password in it.
fn without_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    }
}

/// As fast as the machine goes: a test waits for nothing.
fn tiny_engine() -> EngineConfig {
    EngineConfig { decode_step_ms: 0.1, decode_per_request_us: 0.0, ..EngineConfig::default() }
}

/// The limits of a request.
pub(super) fn timeouts(values: &Values) -> Result<Timeouts, ConfigError> {
    Ok(Timeouts {
        connect: seconds("--connect-timeout", values.connect_timeout)?,
        first_token: seconds("--first-token-timeout", values.first_token_timeout)?,
        stall: seconds("--stall-timeout", values.stall_timeout)?,
        total: seconds("--timeout", values.timeout)?,
    })
}
