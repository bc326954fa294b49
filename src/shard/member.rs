//! The side of every other shard: does what shard 0 says.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    clock::{Exchange, SharedClock, over, quickest},
    handshake::{JoinError, join},
    leader::{ALIVE, LISTEN, wait_for},
    link::{Link, Received, ShardError, decode, say},
    message::{Clock, Order, ShardRecords, ToLeader, ToMember},
    rendezvous::Terms,
};
use crate::{
    client::Learned,
    load::{Start, Stop, StopReason},
};

/// Messages there and back that compare two clocks.
const EXCHANGES: usize = 16;

/// A shard other than 0.
pub struct Member {
    shared: Arc<Shared>,
    next: Receiver<Next>,
    thread: Option<JoinHandle<()>>,
    run_id: String,
}

/// What a shard is to do.
#[derive(Debug)]
pub enum Next {
    /// Its part of a pass, and what shard 0 has learned of the server.
    Order(Box<Order>, Learned),
    /// Nothing more: the run is over, and went as it should, or not.
    End {
        /// Whether it did.
        went_well: bool,
    },
    /// Shard 0 is gone.
    Lost(ShardError),
}

struct Shared {
    link: Arc<dyn Link>,
    clock: SharedClock,
    patience: Duration,
    /// Ends this process.
    interrupt: Stop,
    pass: Mutex<PassState>,
    changed: Condvar,
    pongs: Mutex<Receiver<Exchange>>,
    is_over: AtomicBool,
}

/// The pass under way.
#[derive(Default)]
struct PassState {
    order: u64,
    stop: Stop,
    begin_ns: Option<u64>,
    before: Clock,
    began_late_ns: u64,
}

impl Member {
    /// Finds shard 0, and takes part. `interrupt` ends what is under way.
    ///
    /// # Errors
    /// Where it can't be found, or does not take this one.
    pub fn join(terms: &Terms, host: &str, interrupt: &Stop) -> Result<Self, ShardError> {
        let until = Instant::now() + terms.patience;
        let (link, run_id) = loop {
            let link = terms.reach(interrupt)?;
            match join(&*link, terms.share, host, &terms.token, until, interrupt) {
                Ok(run_id) => break (link, run_id),
                // What stands between may take connections before shard 0 does.
                Err(JoinError::Closed) if Instant::now() < until && interrupt.reason().is_none() => {
                    link.close();
                    thread::sleep(LISTEN);
                }
                Err(JoinError::Silent | JoinError::Closed) => {
                    link.close();
                    let waited = humantime::format_duration(terms.patience);
                    let place = &terms.rendezvous;
                    return Err(ShardError(format!(
                        "shard 0 did not come to {place} within {waited} (--shard-timeout)"
                    )));
                }
                Err(JoinError::Other(why)) => {
                    link.close();
                    return Err(why);
                }
            }
        };
        let (pong, pongs) = mpsc::channel();
        let (tell, next) = mpsc::channel();
        let shared = Arc::new(Shared {
            link,
            clock: SharedClock::of_this_process(),
            patience: terms.patience,
            interrupt: interrupt.clone(),
            pass: Mutex::default(),
            changed: Condvar::new(),
            pongs: Mutex::new(pongs),
            is_over: AtomicBool::new(false),
        });
        let listening = shared.clone();
        let thread = Some(thread::spawn(move || listening.listen(&pong, &tell)));
        Ok(Self { shared, next, thread, run_id })
    }

    /// What all shards call the run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Waits for the next thing to do.
    pub fn next(&self) -> Next {
        self.next.recv().unwrap_or_else(|_| Next::Lost(ShardError("it is gone".to_owned())))
    }

    /// Begins a pass: gives what ends it, and what says when it starts.
    pub fn pass(&self, order: &Order) -> (Stop, Arc<dyn Start>) {
        let stop = self.shared.pass().stop.clone();
        (stop, Arc::new(Ready { shared: self.shared.clone(), order: order.number }))
    }

    /// Gives what the pass gave, by the clock that is shown to others.
    ///
    /// # Errors
    /// Where shard 0 does not take it.
    pub fn give(&self, records: ShardRecords) -> Result<(), ShardError> {
        say(&*self.shared.link, &ToLeader::Gave(Box::new(records)))
    }

    /// Puts a pass's records on the clock that is shown to others, and says how that compares with shard 0's.
    pub fn settle(&self, given: &mut ShardRecords) {
        let shared = &self.shared;
        let shift_ns = shared.clock.shift_ns();
        given.records.iter_mut().for_each(|record| record.shift(shift_ns));
        let (before, began_late_ns) = {
            let pass = shared.pass();
            (pass.before, pass.began_late_ns)
        };
        // Where nobody answers any more, what was known before is all.
        let clock = shared.compare().map_or(before, |after| over(before, after));
        given.clock_offset_ns = clock.offset_ns;
        given.clock_uncertainty_ns = clock.uncertainty_ns;
        given.began_late_ns = began_late_ns;
    }

    /// Says why it can't run a pass.
    pub fn failed(&self, why: String) {
        // Where shard 0 is gone, it is told by its silence.
        _ = say(&*self.shared.link, &ToLeader::Failed(why));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        self.shared.link.close();
    }
}

impl Shared {
    fn pass(&self) -> MutexGuard<'_, PassState> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to shard 0 until the run is over or it is gone.
    fn listen(&self, pong: &Sender<Exchange>, tell: &Sender<Next>) {
        let (mut heard, mut said) = (Instant::now(), Instant::now());
        let mut told = None;
        while !self.is_over.load(Ordering::SeqCst) {
            let received = self.link.receive(LISTEN).map_err(ShardError::from);
            let result = received.and_then(|received| {
                match received {
                    Received::Message(bytes) => {
                        let next = self.hear(decode(&bytes)?, pong);
                        let is_end = matches!(next, Some(Next::End { .. }));
                        if let Some(next) = next {
                            told = None;
                            // Whoever waits for it is there as long as this is.
                            _ = tell.send(next);
                        }
                        if is_end {
                            self.is_over.store(true, Ordering::SeqCst);
                            return Ok(());
                        }
                    }
                    Received::Part => {}
                    Received::Nothing if heard.elapsed() > self.patience => {
                        let silent = humantime::format_duration(self.patience);
                        return Err(ShardError(format!("nothing was heard of it for {silent}")));
                    }
                    Received::Nothing => return Ok(()),
                }
                heard = Instant::now();
                Ok(())
            });
            let mut speak = || {
                if self.interrupt.reason() == Some(StopReason::Interrupted) {
                    self.pass().stop.stop(StopReason::Interrupted);
                }
                let (order, stopped) = {
                    let pass = self.pass();
                    (pass.order, pass.stop.reason().filter(|reason| *reason != StopReason::Error))
                };
                if let Some(reason) = stopped.filter(|_| stopped != told) {
                    say(&*self.link, &ToLeader::Stopped { order, reason })?;
                    self.changed.notify_all();
                }
                told = stopped;
                if said.elapsed() >= ALIVE {
                    said = Instant::now();
                    say(&*self.link, &ToLeader::Alive)?;
                }
                Ok(())
            };
            let result = result.and_then(|()| if self.is_over.load(Ordering::SeqCst) { Ok(()) } else { speak() });
            if let Err(why) = result {
                self.pass().stop.stop(StopReason::Error);
                self.changed.notify_all();
                _ = tell.send(Next::Lost(why));
                return;
            }
        }
    }

    fn hear(&self, message: ToMember, pong: &Sender<Exchange>) -> Option<Next> {
        let back_ns = self.clock.now_ns();
        match message {
            ToMember::Alive => {}
            ToMember::Order(order, learned) => {
                *self.pass() = PassState { order: order.number, ..PassState::default() };
                return Some(Next::Order(order, learned));
            }
            ToMember::Begin { start_ns } => self.pass().begin_ns = Some(start_ns),
            ToMember::Pong { sent_ns, received_ns, returned_ns } => {
                _ = pong.send(Exchange { sent_ns, received_ns, returned_ns, back_ns });
            }
            ToMember::Stop { order, reason } => {
                let pass = self.pass();
                // Of a pass that is over, it is news of no use.
                if pass.order == order {
                    pass.stop.stop(reason);
                }
            }
            ToMember::End { went_well } => {
                // Nobody says any more when what waits begins.
                self.pass().stop.stop(StopReason::Error);
                self.changed.notify_all();
                return Some(Next::End { went_well });
            }
        }
        self.changed.notify_all();
        None
    }

    /// Compares the clock with shard 0's; `None` where that does not answer.
    fn compare(&self) -> Option<Clock> {
        let pongs = self.pongs.lock().unwrap_or_else(PoisonError::into_inner);
        // Answers to earlier questions.
        while pongs.try_recv().is_ok() {}
        let exchange = || {
            say(&*self.link, &ToLeader::Ping { sent_ns: self.clock.now_ns() }).ok()?;
            pongs.recv_timeout(self.patience).ok()
        };
        quickest((0..EXCHANGES).map_while(|_| exchange()))
    }
}

struct Ready {
    shared: Arc<Shared>,
    order: u64,
}

impl Start for Ready {
    fn begin_ns(&self) -> u64 {
        let shared = &self.shared;
        let now = || shared.clock.local_ns(shared.clock.now_ns());
        let Some(clock) = shared.compare() else {
            shared.pass().stop.stop(StopReason::Error);
            return now();
        };
        shared.pass().before = clock;
        if say(&*shared.link, &ToLeader::Ready { order: self.order, clock }).is_err() {
            shared.pass().stop.stop(StopReason::Error);
        }
        let mut pass = shared.pass();
        let start_ns = loop {
            if pass.stop.reason().is_some() {
                return now();
            }
            if let Some(start_ns) = pass.begin_ns {
                break start_ns.saturating_add_signed(-clock.offset_ns);
            }
            pass = shared.changed.wait_timeout(pass, LISTEN).unwrap_or_else(PoisonError::into_inner).0;
        };
        pass.began_late_ns = shared.clock.now_ns().saturating_sub(start_ns);
        drop(pass);
        wait_for(shared.clock, start_ns);
        shared.clock.local_ns(start_ns)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::mpsc::RecvTimeoutError};

    use super::*;
    use crate::shard::link::encode;

    /// A way to a shard 0 that orders a pass, and is over when the pass might begin.
    struct Brief {
        clock: SharedClock,
        says: Mutex<Vec<ToMember>>,
    }

    impl Link for Brief {
        fn send(&self, message: &[u8]) -> io::Result<()> {
            let now_ns = self.clock.now_ns();
            let answer = match decode(message)? {
                ToLeader::Ping { sent_ns } => ToMember::Pong { sent_ns, received_ns: now_ns, returned_ns: now_ns },
                ToLeader::Ready { .. } => ToMember::End { went_well: false },
                _ => return Ok(()),
            };
            self.says.lock().unwrap().insert(0, answer);
            Ok(())
        }
        fn receive(&self, _: Duration) -> io::Result<Received> {
            thread::sleep(Duration::from_millis(1));
            let message = self.says.lock().unwrap().pop();
            message.map_or(Ok(Received::Nothing), |message| Ok(Received::Message(encode(&message)?)))
        }
        fn limit(&self, _: u32) {}
    }

    #[test]
    fn a_pass_that_waits_to_begin_ends_with_the_run() {
        let clock = SharedClock::of_this_process();
        let order = Box::new(Order { number: 1, ..Order::default() });
        let says = Mutex::new(vec![ToMember::Order(order, Learned::default())]);
        let (pong, pongs) = mpsc::channel();
        let shared = Arc::new(Shared {
            link: Arc::new(Brief { clock, says }),
            clock,
            patience: Duration::from_secs(1000),
            interrupt: Stop::default(),
            pass: Mutex::default(),
            changed: Condvar::new(),
            pongs: Mutex::new(pongs),
            is_over: AtomicBool::new(false),
        });
        let (tell, next) = mpsc::channel();
        let listening = shared.clone();
        thread::spawn(move || listening.listen(&pong, &tell));
        assert!(matches!(next.recv(), Ok(Next::Order(..))));
        let (done, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            Ready { shared, order: 1 }.begin_ns();
            drop(done);
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(30)), Err(RecvTimeoutError::Disconnected));
        assert!(matches!(next.recv(), Ok(Next::End { went_well: false })));
    }
}
