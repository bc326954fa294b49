//! What a server says of itself, asked through reqwest before anything is measured.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Target, answer::error_message, api::Api, failure::one_line, request::Headers};

/// The questions and their answers.
#[non_exhaustive]
pub struct ServerInfo {
    /// Ids that `/v1/models` lists; `None` where the server has no such list.
    pub models: Option<Vec<String>>,
    /// What else it says: `server` header, version, the model's owner and context length.
    pub facts: Map<String, Value>,
}

/// What keeps a server from being measured at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Nothing answers there.
    #[error(
        "cannot reach the server {url}: {why}; start it, measure another one with --server URL, or the simulated engine with --server \
         embedded"
    )]
    Unreachable {
        /// The server.
        url: String,
        /// What the system said.
        why: String,
    },
    /// It answered, but with an error.
    #[error("the server {url} answered {status} to GET {path}: {message}")]
    Refused {
        /// The server.
        url: String,
        /// What was asked.
        path: &'static str,
        /// The status code.
        status: u16,
        /// What it said.
        message: String,
    },
    /// No model was named, and it lists none.
    #[error("the server {url} lists no model: name one with --model")]
    NoModel {
        /// The server.
        url: String,
    },
    /// It was waited for in vain.
    #[error("the server {url} was not ready within {seconds} s (--wait-ready); at last: {last}")]
    NotReady {
        /// The server.
        url: String,
        /// How long it was waited for.
        seconds: f64,
        /// What it said, or the system.
        last: String,
    },
    /// The run was stopped while it was waited for.
    #[error("stopped while waiting for the server")]
    Interrupted,
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

/// How often a server is asked whether it is ready.
const POLL: Duration = Duration::from_millis(250);
/// How long one such question may take.
const ANSWER: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes of a list of models that are read; what is longer is cut, and then no list.
const MAX_LIST: usize = 4 << 20;
/// Most bytes of any other answer that are read.
const MAX_ANSWER: usize = 64 << 10;

/// The beginning of a response's body.
pub(super) async fn bounded(mut response: reqwest::Response, most: usize) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < most
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
    }
    Ok(body)
}

impl ServerInfo {
    /// Asks for the models and the version.
    ///
    /// # Errors
    /// Where the server can't be reached, refuses the key, or is not ready.
    pub async fn ask(target: &Target, headers: &Headers) -> Result<Self, ServerError> {
        let client = http_client(target)?;
        let get = |path: &'static str| question(&client, target, headers, path).timeout(PATIENCE).send();
        let unreachable =
            |e: reqwest::Error| ServerError::Unreachable { url: target.url.to_string(), why: root_cause(&e) };
        let mut facts = Map::new();
        if let Some(proxy) = &target.proxy {
            facts.insert("proxy".to_owned(), proxy.to_string().into());
        }

        let response = get("/v1/models").await.map_err(unreachable)?;
        if let Some(server) = response.headers().get("server").and_then(|value| value.to_str().ok()) {
            facts.insert("server_header".to_owned(), server.into());
        }
        let status = response.status();
        let body = bounded(response, MAX_LIST).await.map_err(unreachable)?;
        // Not every server has the list; but one that refuses the key or is loading would refuse the prompts too.
        if matches!(status.as_u16(), 401 | 403 | 407 | 429) || status.is_server_error() {
            return Err(ServerError::Refused {
                url: target.url.to_string(),
                path: "/v1/models",
                status: status.as_u16(),
                message: headers.redact(error_message(&body)),
            });
        }
        let models = match status.is_success() {
            true => model_ids(&body, &mut facts),
            false => None,
        };
        if let Ok(response) = get("/version").await
            && response.status().is_success()
            && let Ok(body) = bounded(response, MAX_ANSWER).await
            && let Ok(Value::Object(fields)) = serde_json::from_slice(&body)
            && let Some(version @ Value::String(_)) = fields.get("version")
        {
            facts.insert("version".to_owned(), version.clone());
        }
        for fact in facts.values_mut() {
            if let Value::String(text) = fact {
                *text = headers.redact(one_line(text));
            }
        }
        Ok(Self { models, facts })
    }

    /// The model to measure: the one that was named, or the first of the list.
    ///
    /// # Errors
    /// Where that is none.
    pub fn choose_model(&self, target: &Target, named: Option<&str>) -> Result<String, ServerError> {
        let first = || self.models.iter().flatten().next().map(String::as_str);
        let model = named.or_else(first).ok_or_else(|| ServerError::NoModel { url: target.url.to_string() })?;
        Ok(model.to_owned())
    }

    /// What to say of a model that the server's list lacks: gateways list less than they serve.
    pub fn doubt(&self, model: &str) -> Option<String> {
        let served =
            self.models.as_ref().filter(|served| !served.is_empty() && !served.iter().any(|id| id == model))?;
        Some(format!("the server does not list the model `{model}`; it lists: {}", one_line(&served.join(", "))))
    }
}

/// Waits until the server says that it is ready: by `/health`, or where it has no such path, by `/v1/models`. `tell` hears
/// each new reason to wait.
///
/// # Errors
/// [`ServerError::NotReady`] where the time is over before.
pub async fn wait_until_ready(
    target: &Target,
    headers: &Headers,
    patience: Duration,
    tell: impl Fn(&str),
) -> Result<(), ServerError> {
    let client = http_client(target)?;
    let started = tokio::time::Instant::now();
    let mut last = String::new();
    loop {
        let left = patience.saturating_sub(started.elapsed());
        let why = match tokio::time::timeout(left, not_ready(&client, target, headers)).await {
            Ok(None) => return Ok(()),
            Ok(Some(why)) => why,
            Err(_) if last.is_empty() => "no answer".to_owned(),
            Err(_) => last.clone(),
        };
        if why != last {
            tell(&format!("Waiting for {}: {why}", target.url));
            last = why;
        }
        if started.elapsed() >= patience {
            return Err(ServerError::NotReady { url: target.url.to_string(), seconds: patience.as_secs_f64(), last });
        }
        tokio::time::sleep(POLL.min(patience.saturating_sub(started.elapsed()))).await;
    }
}

/// Why the server is not ready: by this path, which has to answer with 2xx, or where none is given, as in [`wait_until_ready`].
pub async fn why_not_ready(target: &Target, headers: &Headers, path: Option<&str>) -> Option<String> {
    let client = match http_client(target) {
        Ok(client) => client,
        Err(e) => return Some(e.to_string()),
    };
    let Some(path) = path else { return not_ready(&client, target, headers).await };
    match question(&client, target, headers, path).timeout(ANSWER).send().await {
        Ok(response) if response.status().is_success() => None,
        Ok(response) => Some(format!("{} to GET {path}", response.status().as_u16())),
        Err(e) => Some(root_cause(&e)),
    }
}

/// Why the server can't be measured yet.
async fn not_ready(client: &reqwest::Client, target: &Target, headers: &Headers) -> Option<String> {
    for path in ["/health", "/v1/models"] {
        match question(client, target, headers, path).timeout(ANSWER).send().await {
            Ok(response) if response.status().is_success() => return None,
            Ok(response) if matches!(response.status().as_u16(), 404 | 405) => {}
            // It answers, and waiting would not change that: the benchmark says what is wrong.
            Ok(response) if matches!(response.status().as_u16(), 401 | 403 | 407) => return None,
            Ok(response) => {
                let status = response.status().as_u16();
                let body = bounded(response, MAX_ANSWER).await.unwrap_or_default();
                return Some(headers.redact(format!("{status} to GET {path}: {}", error_message(&body))));
            }
            Err(e) => return Some(root_cause(&e)),
        }
    }
    // It answers, and has neither path: what is wrong with it is for the benchmark to find.
    None
}

/// The ids in a `/v1/models` answer; notes the first model's owner and context length.
pub fn model_ids(body: &[u8], facts: &mut Map<String, Value>) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let models = list.get("data")?.as_array()?;
    if let Some(first) = models.first() {
        for key in ["owned_by", "max_model_len"] {
            if let Some(value) = first.get(key).filter(|value| !value.is_null()) {
                facts.insert(key.to_owned(), value.clone());
            }
        }
    }
    Some(models.iter().filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).collect())
}

pub(super) fn question(
    client: &reqwest::Client,
    target: &Target,
    headers: &Headers,
    path: &str,
) -> reqwest::RequestBuilder {
    let request = client.get(target.url.join(path));
    headers.of(Api::default()).fold(request, |request, (name, value)| request.header(name, &*value))
}

fn http_client(target: &Target) -> Result<reqwest::Client, ServerError> {
    http_builder(target)?.build().map_err(|e| ServerError::Setup(root_cause(&e)))
}

/// On the way to the server itself.
pub(super) fn http_builder(target: &Target) -> Result<reqwest::ClientBuilder, ServerError> {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(target.timeouts.connect)
        .redirect(reqwest::redirect::Policy::none());
    let builder = match &target.proxy {
        Some(proxy) => builder.proxy(proxy.for_reqwest().map_err(|e| ServerError::Setup(root_cause(&e)))?),
        None => builder,
    };
    #[cfg(unix)]
    let builder = match &target.url.socket {
        Some(path) => builder.unix_socket(path.as_path()),
        None => builder,
    };
    with_trust(builder, target)
}

/// With the certificates that are believed of a server.
pub(super) fn with_trust(
    builder: reqwest::ClientBuilder,
    target: &Target,
) -> Result<reqwest::ClientBuilder, ServerError> {
    #[cfg(feature = "tls")]
    let builder = builder.tls_backend_preconfigured(match &target.tls {
        Some(tls) => tls.config(),
        None => super::tls::Tls::without_trust().map_err(ServerError::Setup)?,
    });
    #[cfg(not(feature = "tls"))]
    let _ = target;
    Ok(builder)
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn root_cause(e: &dyn std::error::Error) -> String {
    let mut cause = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
