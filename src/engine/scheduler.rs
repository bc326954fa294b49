//! Continuous batching on a thread of its own, which sleeps between steps and writes each step's tokens itself.

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde_json::json;
use tokio::sync::oneshot;

use super::{EngineConfig, RequestTruth, asked::Asked, dialect::Wording, prefix_cache::PrefixCache};
use crate::client::clock::now_ns;

/// A request on its way through the engine.
pub struct Job {
    pub asked: Asked,
    pub wording: Box<dyn Wording>,
    /// Those of the prompt, where they are looked up in a cache.
    pub tokens: Vec<u32>,
    /// The connection; nonblocking.
    pub socket: TcpStream,
    pub truth: RequestTruth,
    /// Gets the connection back when the answer is complete; nothing where it was given up.
    pub finished: oneshot::Sender<TcpStream>,
}

/// What `/metrics` shows.
#[derive(Default)]
pub struct Gauges {
    pub running: AtomicU64,
    pub waiting: AtomicU64,
    pub tokens: AtomicU64,
    pub prompt_tokens: AtomicU64,
    pub cached_tokens: AtomicU64,
}

/// Everything that the scheduler works with.
pub struct Scheduler {
    pub config: EngineConfig,
    pub words: Vec<&'static str>,
    pub jobs: Receiver<Job>,
    pub gauges: Arc<Gauges>,
    pub truths: Arc<Mutex<Vec<RequestTruth>>>,
}

struct Running {
    job: Job,
    reports_cached: bool,
    /// Tokens that it will make.
    length: u32,
    made: u32,
    text: String,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    lost: bool,
}

/// What a client may leave unread before it is given up.
const MAX_UNSENT: usize = 4 << 20;
/// A thread that fell behind by more than this starts anew instead of catching up.
const MAX_LAG: Duration = Duration::from_millis(50);
/// Mean length of an answer that ends on its own, in tokens.
const NATURAL_LENGTH: f64 = 200.0;

impl Scheduler {
    /// Works until the last sender of jobs is gone.
    pub fn run(self) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        let mut waiting: VecDeque<Job> = VecDeque::new();
        let mut running: Vec<Running> = Vec::new();
        let mut scratch = Vec::new();
        let mut cached = PrefixCache::new(self.config.block_tokens);
        let mut step_starts = Instant::now();
        loop {
            if running.is_empty() && waiting.is_empty() {
                match self.jobs.recv_timeout(Duration::from_secs(3600)) {
                    Ok(job) => waiting.push_back(job),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                step_starts = Instant::now();
            }
            loop {
                match self.jobs.try_recv() {
                    Ok(job) => waiting.push_back(job),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let prefill = self.admit(&mut waiting, &mut running, &mut cached, &mut rng);
            self.gauges.running.store(running.len() as u64, Ordering::Relaxed);
            self.gauges.waiting.store(waiting.len() as u64, Ordering::Relaxed);

            let noise = 1.0 + self.config.jitter * normal(&mut rng).clamp(-3.0, 3.0);
            let step = self.config.step(running.len(), prefill).mul_f64(noise.max(0.0));
            step_starts = step_starts.max(Instant::now().checked_sub(MAX_LAG).unwrap_or(step_starts)) + step;
            std::thread::sleep(step_starts.saturating_duration_since(Instant::now()));
            for request in &mut running {
                let word = self.words[rng.random_range(0..self.words.len())];
                request.make_token(word, &mut scratch, &self.truths);
            }
            self.gauges.tokens.fetch_add(running.len() as u64, Ordering::Relaxed);
            for done in running.extract_if(.., |request| request.is_over()) {
                self.retire(done);
            }
        }
    }

    /// Lets requests run while there is room, in order; gives the prompt tokens to prefill.
    fn admit(
        &self,
        waiting: &mut VecDeque<Job>,
        running: &mut Vec<Running>,
        cached: &mut PrefixCache,
        rng: &mut ChaCha8Rng,
    ) -> u64 {
        let mut reserved: u64 = running.iter().map(|r| need(&r.job)).sum();
        let mut prefill = 0;
        while let Some(next) = waiting.front() {
            let fits = reserved + need(next) <= self.config.kv_tokens || running.is_empty();
            if running.len() >= self.config.instance_num as usize || !fits {
                break;
            }
            let Some(mut job) = waiting.pop_front() else { break };
            reserved += need(&job);
            if self.config.prefix_cache {
                let room = self.config.kv_tokens.saturating_sub(reserved);
                job.truth.cached_tokens = cached.take_in(&job.tokens, room);
            }
            self.gauges.prompt_tokens.fetch_add(job.truth.prompt_tokens.into(), Ordering::Relaxed);
            self.gauges.cached_tokens.fetch_add(job.truth.cached_tokens.into(), Ordering::Relaxed);
            prefill += u64::from(job.truth.prompt_tokens - job.truth.cached_tokens);
            job.truth.admitted_ns = now_ns();
            let natural = (-NATURAL_LENGTH * (1.0 - rng.random::<f64>()).ln()).ceil().max(1.0) as u32;
            let length = if job.asked.ignore_eos { job.asked.max_tokens } else { natural.min(job.asked.max_tokens) };
            job.truth.token_ns.reserve_exact(length as usize);
            running.push(Running {
                job,
                reports_cached: self.config.report_cached,
                length,
                made: 0,
                text: String::new(),
                unsent: Vec::new(),
                lost: false,
            });
        }
        prefill
    }

    fn retire(&self, request: Running) {
        let Running { mut job, lost, .. } = request;
        if lost {
            job.truth.cancelled = true;
            lock(&self.truths).push(job.truth);
        } else {
            // The engine may be gone already.
            _ = job.finished.send(job.socket);
        }
    }
}

/// What a request reserves in the key-value cache.
fn need(job: &Job) -> u64 {
    u64::from(job.truth.prompt_tokens) + u64::from(job.asked.max_tokens)
}

fn lock(truths: &Mutex<Vec<RequestTruth>>) -> MutexGuard<'_, Vec<RequestTruth>> {
    truths.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    fn make_token(&mut self, word: &str, scratch: &mut Vec<u8>, truths: &Mutex<Vec<RequestTruth>>) {
        if self.made == self.length {
            // Only waits for the client to take the rest.
            self.write_end(&[], truths);
            return;
        }
        let first = self.made == 0;
        self.made += 1;
        let last = self.made == self.length;
        scratch.clear();
        if self.job.asked.stream {
            self.job.wording.token(word, first, scratch);
        } else {
            self.text.push(' ');
            self.text.push_str(word);
        }
        let at_ns = now_ns();
        self.job.truth.token_ns.push(at_ns);
        if self.job.asked.stream {
            self.write(scratch);
        }
        if last {
            let finish = if self.made == self.job.asked.max_tokens { "length" } else { "stop" };
            let prompt = self.job.truth.prompt_tokens;
            let mut usage =
                json!({"prompt_tokens": prompt, "total_tokens": prompt + self.made, "completion_tokens": self.made});
            if self.reports_cached {
                usage["prompt_tokens_details"] = json!({"cached_tokens": self.job.truth.cached_tokens});
            }
            scratch.clear();
            if self.job.asked.stream {
                self.job.wording.ending(finish, &usage, scratch);
            } else {
                *scratch = self.job.wording.whole(&self.text, finish, &usage);
            }
            self.job.truth.ended_ns = now_ns();
            self.write_end(scratch, truths);
        }
    }

    /// Writes the end, or what is left of it. The record of a request is there before its client can have seen the last byte:
    /// whoever asks for the records meanwhile waits.
    fn write_end(&mut self, bytes: &[u8], truths: &Mutex<Vec<RequestTruth>>) {
        let mut truths = lock(truths);
        self.write(bytes);
        if !self.lost && self.unsent.is_empty() {
            truths.push(std::mem::take(&mut self.job.truth));
        }
    }

    fn is_over(&self) -> bool {
        self.lost || self.made == self.length && self.unsent.is_empty()
    }

    fn write(&mut self, bytes: &[u8]) {
        let direct = self.unsent.is_empty();
        if !direct {
            self.unsent.extend_from_slice(bytes);
        }
        let pending = if direct { bytes } else { &self.unsent };
        let mut sent = 0;
        while sent < pending.len() {
            match (&self.job.socket).write(&pending[sent..]) {
                Ok(0) => self.lost = true,
                Ok(n) => sent += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.lost = true,
            }
            if self.lost {
                return;
            }
        }
        if direct {
            self.unsent.extend_from_slice(&bytes[sent..]);
        } else {
            self.unsent.drain(..sent);
        }
        self.lost = self.unsent.len() > MAX_UNSENT;
    }
}

/// A standard normal deviate (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
