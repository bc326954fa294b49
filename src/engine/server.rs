//! The engine's front: connections, routes, and its life.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
};

use super::{
    EngineConfig, RequestTruth,
    asked::Asked,
    dialect::{self, Wording},
    fault::{self, Fault},
    http::{self, Request},
    scheduler::{Gauges, Job, Scheduler},
};
use crate::dataset::{Tokenizer, WordList};

/// A running engine. Dropping it stops it.
pub struct Engine {
    address: SocketAddr,
    truths: Arc<Mutex<Vec<RequestTruth>>>,
    stop: Arc<Notify>,
    threads: Vec<JoinHandle<()>>,
}

/// What each connection needs.
struct Shared {
    config: EngineConfig,
    tokenizer: Arc<Tokenizer>,
    jobs: Sender<Job>,
    gauges: Arc<Gauges>,
    next_id: AtomicU64,
    truths: Arc<Mutex<Vec<RequestTruth>>>,
    faults: Faults,
}

/// Draws the faults that the configuration wants.
struct Faults {
    share: f64,
    rng: Mutex<ChaCha8Rng>,
}

impl Faults {
    fn next(&self) -> Option<Fault> {
        if self.share == 0.0 {
            return None;
        }
        let drawn: f64 = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random();
        Fault::ALL.get((drawn / self.share) as usize).copied()
    }
}

impl Engine {
    /// Starts one on 127.0.0.1, on that port or, with 0, on a free one.
    ///
    /// # Errors
    /// Where the port can't be had, or the tokenizer has no words to answer with.
    pub fn start(config: EngineConfig, tokenizer: Arc<Tokenizer>, port: u16) -> io::Result<Self> {
        let words = WordList::new(&tokenizer).map_err(io::Error::other)?.words().to_vec();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (sender, jobs) = channel();
        let gauges = Arc::new(Gauges::default());
        let truths = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(Notify::new());

        let scheduler =
            Scheduler { config: config.clone(), words, jobs, gauges: gauges.clone(), truths: truths.clone() };
        let rng = Mutex::new(ChaCha8Rng::seed_from_u64(config.seed));
        let shared = Arc::new(Shared {
            faults: Faults { share: config.fault_share, rng },
            config,
            tokenizer,
            jobs: sender,
            gauges,
            next_id: AtomicU64::new(1),
            truths: truths.clone(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let front = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    () = stopped.notified() => {}
                }
            });
        };
        let threads = vec![
            std::thread::Builder::new().name("engine-steps".to_owned()).spawn(move || scheduler.run())?,
            std::thread::Builder::new().name("engine-front".to_owned()).spawn(front)?,
        ];
        Ok(Self { address, truths, stop, threads })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it did for the requests that have ended since the last call, in the order of their end. A request whose answer a
    /// client has read to its last byte is among them.
    pub fn take_truths(&self) -> Vec<RequestTruth> {
        std::mem::take(&mut self.truths.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works until the process ends.
    pub fn join(mut self) {
        for thread in self.threads.drain(..) {
            // A panic has already printed itself.
            _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The front goes first: with it go the senders of jobs, and so the steps end.
        self.stop.notify_one();
        for thread in self.threads.drain(..).rev() {
            _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let connections = tokio::task::LocalSet::new();
    connections
        .run_until(async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let shared = shared.clone();
                        tokio::task::spawn_local(async move {
                            // A connection that fails is the client's to notice.
                            _ = serve(stream, &shared).await;
                        });
                    }
                    // Out of descriptors, most likely: let others end.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 << 10);
    while let Some(request) = http::read_request(&mut stream, &mut buffer).await? {
        let keep_alive = request.keep_alive;
        let is_open = match answer(&mut stream, request, shared).await? {
            Answered::Whole(is_open) => is_open,
            // Whoever writes the tokens has the connection until then: one descriptor a connection, so that there can be more.
            Answered::Begun(begun) => {
                let (finished, wait) = oneshot::channel();
                let Begun { asked, wording, tokens, truth } = *begun;
                let job = Job { asked, wording, tokens, socket: stream.into_std()?, truth, finished };
                if shared.jobs.send(job).is_err() {
                    break;
                }
                match wait.await {
                    Ok(socket) => stream = TcpStream::from_std(socket)?,
                    Err(_) => break,
                }
                true
            }
        };
        if !is_open || !keep_alive {
            break;
        }
    }
    Ok(())
}

/// A request whose tokens are still to be made.
struct Begun {
    asked: Asked,
    wording: Box<dyn Wording>,
    /// Those of the prompt, where they are looked up in a cache.
    tokens: Vec<u32>,
    truth: RequestTruth,
}

/// What has become of a request.
enum Answered {
    /// It is answered; `false` where the connection is of no more use.
    Whole(bool),
    /// Its tokens are still to be made.
    Begun(Box<Begun>),
}

/// Answers one request, or begins to.
async fn answer(stream: &mut TcpStream, request: Request, shared: &Shared) -> io::Result<Answered> {
    if let Some(whole) = answer_at_once(stream, &request, shared).await? {
        return Ok(Answered::Whole(whole));
    }

    let asked = match Asked::parse(&request.path, &request.body, &shared.config.model) {
        Ok(asked) => asked,
        Err((status, message)) => return Ok(Answered::Whole(refuse(stream, status, &message).await?)),
    };
    let tokens = match shared.config.prefix_cache {
        true => shared.tokenizer.ids(&asked.prompt).unwrap_or_default(),
        false => Vec::new(),
    };
    let prompt_tokens = match shared.config.prefix_cache {
        true => tokens.len(),
        false => shared.tokenizer.count(&asked.prompt, false).unwrap_or(0),
    };
    let prompt_tokens = prompt_tokens as u32;
    let mut wording = asked.wording(shared.next_id.fetch_add(1, Ordering::Relaxed), &shared.config.model);
    let mut truth = RequestTruth {
        request_id: request.request_id,
        received_ns: request.received_ns,
        prompt_tokens,
        ..RequestTruth::default()
    };
    if asked.stream
        && let Some(fault) = shared.faults.next()
    {
        truth.fault = Some(fault);
        shared.truths.lock().unwrap_or_else(PoisonError::into_inner).push(truth);
        return Ok(Answered::Whole(fault::commit(stream, fault, &mut *wording).await?));
    }
    if asked.stream {
        // As vLLM and llama.cpp do, the head goes out long before the first token.
        stream.write_all(&wording.greeting()).await?;
    }
    Ok(Answered::Begun(Box::new(Begun { asked, wording, tokens, truth })))
}

/// Answers what is no prompt, and refuses what is nothing; `None` for a prompt.
async fn answer_at_once(stream: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<Option<bool>> {
    let is_open = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/health") => reply(stream, 200, &json!({"status": "ok"})).await,
        ("GET", "/version") => reply(stream, 200, &json!({"version": env!("CARGO_PKG_VERSION")})).await,
        ("GET", "/v1/models") => {
            let model = json!({"id": shared.config.model, "object": "model", "owned_by": "tachometer"});
            reply(stream, 200, &json!({"object": "list", "data": [model]})).await
        }
        ("GET", "/metrics") => {
            let bytes = http::response(200, "text/plain; version=0.0.4", &metrics(&shared.gauges));
            stream.write_all(&bytes).await.map(|()| true)
        }
        ("POST", path) if dialect::has(path) => return Ok(None),
        (_, "/health" | "/v1/models" | "/metrics") => refuse(stream, 405, "Method Not Allowed").await,
        (_, path) if dialect::has(path) => refuse(stream, 405, "Method Not Allowed").await,
        _ => refuse(stream, 404, "Not Found").await,
    };
    is_open.map(Some)
}

async fn reply(stream: &mut TcpStream, status: u16, body: &serde_json::Value) -> io::Result<bool> {
    stream.write_all(&http::response(status, "application/json", &body.to_string())).await?;
    Ok(true)
}

async fn refuse(stream: &mut TcpStream, status: u16, message: &str) -> io::Result<bool> {
    reply(stream, status, &json!({"error": {"message": message, "code": status}})).await
}

fn metrics(gauges: &Gauges) -> String {
    let series = [
        ("requests_running", "gauge", "Requests that run.", &gauges.running),
        ("requests_waiting", "gauge", "Requests that wait for an instance.", &gauges.waiting),
        ("tokens_generated_total", "counter", "Tokens generated since the start.", &gauges.tokens),
        ("prompt_tokens_total", "counter", "Tokens of prompts taken in since the start.", &gauges.prompt_tokens),
        ("prompt_tokens_cached_total", "counter", "Those of them that were in the cache.", &gauges.cached_tokens),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in series {
        let value = value.load(Ordering::Relaxed);
        text += &format!("# HELP engine_{name} {help}\n# TYPE engine_{name} {kind}\nengine_{name} {value}\n");
    }
    text
}
