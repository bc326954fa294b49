//! Shard 0's side: lets the others in, tells them what to do, and takes what they give.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    clock::SharedClock,
    handshake::{Peer, admit},
    link::{Link, Received, ShardError, decode, say},
    message::{Clock, Order, ShardRecords, ToLeader, ToMember},
    rendezvous::Terms,
};
use crate::{
    client::Learned,
    load::{Start, Stop, StopReason},
};

/// How long a shard that knocks may take to prove what it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often each side says that it is there.
pub(super) const ALIVE: Duration = Duration::from_secs(1);
/// How long one side listens before it looks at what else there is to do.
pub(super) const LISTEN: Duration = Duration::from_millis(50);
/// From the word to begin to the begin; and as many times what a message takes.
const LEAD: Duration = Duration::from_millis(200);
const LEAD_MESSAGES: u64 = 4;
/// Before the begin, the threads are let go: they wait for their first arrivals themselves.
pub(super) const EARLY_NS: u64 = 5_000_000;
/// Times of an open loop mean nothing where clocks are less sure.
const MOST_UNCERTAIN: Duration = Duration::from_millis(50);

/// Shard 0 of a run.
pub struct Leader {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    orders: AtomicU64,
}

struct Shared {
    seats: Mutex<Vec<Seat>>,
    changed: Condvar,
    /// Ends the passes of this process.
    stop: Stop,
    patience: Duration,
    clock: SharedClock,
    is_over: AtomicBool,
}

/// What is known of another shard.
struct Seat {
    host: String,
    /// By one that proved what it is.
    is_taken: bool,
    /// `None` before it has been told that it is in: nothing is said to it before.
    link: Option<Arc<dyn Link>>,
    /// Which pass it is about.
    order: u64,
    /// Which pass it has been told of. That one ends is no news to it before.
    told: u64,
    status: Status,
}

enum Status {
    Idle,
    Ordered,
    Ready(Clock),
    Gave(Box<ShardRecords>),
    /// It can't go on, or is gone.
    Failed(String),
}

impl Shared {
    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, a moment at most.
    fn wait<'a>(&self, seats: MutexGuard<'a, Vec<Seat>>) -> MutexGuard<'a, Vec<Seat>> {
        self.changed.wait_timeout(seats, LISTEN).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The pass ends for all where one can't go on.
    fn fail(&self, rank: usize, why: String) {
        if self.is_over.load(Ordering::SeqCst) {
            return;
        }
        let seat = &mut self.seats()[rank - 1];
        if !matches!(seat.status, Status::Failed(_)) {
            seat.status = Status::Failed(why);
        }
        self.stop.stop(StopReason::Error);
        self.changed.notify_all();
    }

    /// Listens to one shard until the run is over or it is gone.
    fn serve(&self, rank: usize, link: &dyn Link) {
        let (mut heard, mut said) = (Instant::now(), Instant::now());
        let mut told = None;
        while !self.is_over.load(Ordering::SeqCst) {
            let received = link.receive(LISTEN).map_err(ShardError::from).and_then(|received| {
                match received {
                    Received::Message(bytes) => self.hear(rank, link, decode(&bytes)?)?,
                    Received::Part => {}
                    Received::Nothing if heard.elapsed() > self.patience => {
                        return Err(ShardError(format!(
                            "nothing was heard of it for {}",
                            humantime::format_duration(self.patience)
                        )));
                    }
                    Received::Nothing => return Ok(()),
                }
                heard = Instant::now();
                Ok(())
            });
            // In this order: what ended a pass is forgiven before the next one is ordered.
            let order = self.seats()[rank - 1].told;
            let stopped = self.stop.reason();
            let mut tell = || {
                let stop = stopped.map(|reason| (order, reason));
                if let Some((order, reason)) = stop.filter(|_| stop != told) {
                    say(link, &ToMember::Stop { order, reason })?;
                }
                told = stop;
                if said.elapsed() >= ALIVE {
                    said = Instant::now();
                    say(link, &ToMember::Alive)?;
                }
                Ok(())
            };
            if let Err(ShardError(why)) = received.and_then(|()| tell()) {
                self.fail(rank, why);
                link.close();
                return;
            }
        }
    }

    fn hear(&self, rank: usize, link: &dyn Link, message: ToLeader) -> Result<(), ShardError> {
        let received_ns = self.clock.now_ns();
        match message {
            ToLeader::Alive => {}
            ToLeader::Ping { sent_ns } => {
                say(link, &ToMember::Pong { sent_ns, received_ns, returned_ns: self.clock.now_ns() })?;
            }
            ToLeader::Stopped { order, reason } => {
                if reason == StopReason::Interrupted || self.seats()[rank - 1].order == order {
                    self.stop.stop(reason);
                }
            }
            ToLeader::Failed(why) => self.fail(rank, why),
            ToLeader::Ready { order, clock } => self.note(rank, order, Status::Ready(clock)),
            ToLeader::Gave(records) => self.note(rank, records.order.number, Status::Gave(records)),
        }
        Ok(())
    }

    /// What is about another pass than the last one comes too late.
    fn note(&self, rank: usize, order: u64, status: Status) {
        let seat = &mut self.seats()[rank - 1];
        if seat.order == order && !matches!(seat.status, Status::Failed(_)) {
            seat.status = status;
            self.changed.notify_all();
        }
    }
}

impl Leader {
    /// Waits for the other shards, each within the patience of the terms. `tell` hears who is missing.
    ///
    /// # Errors
    /// Where nobody can come, or not all have.
    pub fn gather_shards(terms: &Terms, run_id: &str, stop: &Stop, tell: impl Fn(&str)) -> Result<Self, ShardError> {
        let others = terms.share.of - 1;
        let seat =
            || Seat { host: String::new(), is_taken: false, link: None, order: 0, told: 0, status: Status::Idle };
        let shared = Arc::new(Shared {
            seats: Mutex::new((0..others).map(|_| seat()).collect()),
            changed: Condvar::new(),
            stop: stop.clone(),
            patience: terms.patience,
            clock: SharedClock::of_this_process(),
            is_over: AtomicBool::new(false),
        });
        let leader = Self { shared: shared.clone(), threads: Mutex::default(), orders: AtomicU64::new(0) };
        let refused = Arc::new(Mutex::new(None::<String>));
        let mut door = terms.open()?;
        tell(&format!("Waiting for {others} other shards at {}", terms.rendezvous));
        let until = Instant::now() + terms.patience;
        loop {
            let missing: Vec<String> = {
                let seats = shared.seats();
                (1..=others).filter(|rank| seats[rank - 1].link.is_none()).map(|rank| rank.to_string()).collect()
            };
            if missing.is_empty() {
                return Ok(leader);
            }
            if stop.reason().is_some() {
                return Err(ShardError("interrupted".to_owned()));
            }
            if Instant::now() >= until {
                let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
                let refused = refused.map_or_else(String::new, |why| format!("; one that came was refused: {why}"));
                let waited = humantime::format_duration(terms.patience);
                let shards = if missing.len() == 1 { "shard" } else { "shards" };
                return Err(ShardError(format!(
                    "{shards} {} did not come to {} within {waited} (--shard-timeout){refused}",
                    missing.join(", "),
                    terms.rendezvous
                )));
            }
            match door.next(terms.patience)? {
                Some(link) => {
                    let (shared, refused) = (shared.clone(), refused.clone());
                    let (token, run_id) = (terms.token.clone(), run_id.to_owned());
                    let of = terms.share.of;
                    leader.threads().push(thread::spawn(move || {
                        let mut taken = None;
                        let take = |peer: &Peer| {
                            let seat = &mut shared.seats()[peer.rank - 1];
                            if seat.is_taken {
                                return Err(format!("{} is shard {} already", seat.host, peer.rank));
                            }
                            (seat.host, seat.is_taken) = (peer.host.clone(), true);
                            taken = Some(peer.rank);
                            Ok(())
                        };
                        match admit(&*link, of, &token, &run_id, (HANDSHAKE, &shared.stop), take) {
                            Ok(peer) => {
                                shared.seats()[peer.rank - 1].link = Some(link.clone());
                                shared.serve(peer.rank, &*link);
                            }
                            Err(ShardError(why)) => {
                                if let Some(rank) = taken {
                                    shared.seats()[rank - 1].is_taken = false;
                                }
                                refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                            }
                        }
                    }));
                }
                None => thread::sleep(LISTEN),
            }
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shared.seats().len() + 1
    }

    /// Which number the next pass has.
    pub fn next_order(&self) -> u64 {
        self.orders.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Tells all shards of the next pass, and what is known of the server so far.
    ///
    /// # Errors
    /// Where one of them can't go on.
    pub fn order(&self, order: &Order, learned: Learned) -> Result<(), ShardError> {
        self.check()?;
        let links: Vec<Arc<dyn Link>> = {
            let mut seats = self.shared.seats();
            for seat in &mut *seats {
                (seat.order, seat.status) = (order.number, Status::Ordered);
            }
            seats.iter().filter_map(|seat| seat.link.clone()).collect()
        };
        for (i, link) in links.iter().enumerate() {
            match say(&**link, &ToMember::Order(Box::new(order.clone()), learned)) {
                Ok(()) => self.shared.seats()[i].told = order.number,
                Err(ShardError(why)) => self.shared.fail(i + 1, why),
            }
        }
        self.check()
    }

    /// Says when the pass of the last order begins, once all are ready. `needs_clocks` where times of a schedule are to be kept.
    pub fn start(&self, needs_clocks: bool) -> Arc<dyn Start> {
        Arc::new(Begin { shared: self.shared.clone(), needs_clocks })
    }

    /// The pass of the last order does not come about here.
    pub fn cancel(&self) {
        let seats = self.shared.seats();
        for seat in seats.iter() {
            if let Some(link) = &seat.link {
                _ = say(&**link, &ToMember::Stop { order: seat.order, reason: StopReason::Error });
            }
        }
    }

    /// Waits for what the others' parts of the pass gave: of those that can still give it.
    pub fn gather(&self) -> Vec<ShardRecords> {
        let mut seats = self.shared.seats();
        loop {
            let is_open = |seat: &Seat| matches!(seat.status, Status::Ordered | Status::Ready(_));
            if !seats.iter().any(is_open) {
                break;
            }
            seats = self.shared.wait(seats);
        }
        let take = |seat: &mut Seat| match std::mem::replace(&mut seat.status, Status::Idle) {
            Status::Gave(records) => Some(*records),
            other => {
                seat.status = other;
                None
            }
        };
        seats.iter_mut().filter_map(take).collect()
    }

    /// Which shard can't go on, and why, if one can't.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), ShardError> {
        let seats = self.shared.seats();
        let failed = seats.iter().enumerate().find_map(|(i, seat)| match &seat.status {
            Status::Failed(why) => Some(format!("shard {} ({}): {why}", i + 1, seat.host)),
            _ => None,
        });
        failed.map_or(Ok(()), |why| Err(ShardError(why)))
    }

    /// Lets the others go.
    pub fn end(&self, went_well: bool) {
        if self.shared.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        let links: Vec<Arc<dyn Link>> = self.shared.seats().iter().filter_map(|seat| seat.link.clone()).collect();
        for link in links {
            // One that is gone hears nothing.
            _ = say(&*link, &ToMember::End { went_well });
        }
        for thread in std::mem::take(&mut *self.threads()) {
            _ = thread.join();
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.end(false);
    }
}

struct Begin {
    shared: Arc<Shared>,
    needs_clocks: bool,
}

impl Start for Begin {
    fn begin_ns(&self) -> u64 {
        let clock = self.shared.clock;
        let mut seats = self.shared.seats();
        let clocks: Vec<Clock> = loop {
            // The pass ends before it has begun.
            if self.shared.stop.reason().is_some() {
                return clock.local_ns(clock.now_ns());
            }
            let ready = seats.iter().map(|seat| match seat.status {
                Status::Ready(clock) => Some(clock),
                _ => None,
            });
            if let Some(clocks) = ready.collect() {
                break clocks;
            }
            seats = self.shared.wait(seats);
        };
        let links: Vec<Arc<dyn Link>> = seats.iter().filter_map(|seat| seat.link.clone()).collect();
        drop(seats);
        let most = MOST_UNCERTAIN.as_nanos() as u64;
        if let Some((i, unsure)) = clocks.iter().enumerate().find(|(_, c)| self.needs_clocks && c.uncertainty_ns > most)
        {
            self.shared.fail(
                i + 1,
                format!(
                    "its clock is known only to ±{} ms, and the times of an open loop need {} ms: use a rendezvous that answers faster",
                    unsure.uncertainty_ns / 1_000_000,
                    MOST_UNCERTAIN.as_millis()
                ),
            );
            return clock.local_ns(clock.now_ns());
        }
        let slowest = clocks.iter().map(|clock| clock.uncertainty_ns).max().unwrap_or(0);
        let lead_ns = LEAD.as_nanos() as u64 + LEAD_MESSAGES * slowest;
        let start_ns = clock.now_ns() + lead_ns;
        for (i, link) in links.iter().enumerate() {
            if let Err(ShardError(why)) = say(&**link, &ToMember::Begin { start_ns }) {
                self.shared.fail(i + 1, why);
            }
        }
        wait_for(clock, start_ns);
        clock.local_ns(start_ns)
    }
}

/// Waits until a little before a moment.
pub(super) fn wait_for(clock: SharedClock, start_ns: u64) {
    let left_ns = start_ns.saturating_sub(clock.now_ns()).saturating_sub(EARLY_NS);
    thread::sleep(Duration::from_nanos(left_ns));
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A way to a shard that says nothing; one that is told of a pass may end it for all.
    #[derive(Default)]
    struct Silent {
        told: Mutex<Vec<ToMember>>,
        ends: Option<Stop>,
    }

    impl Link for Silent {
        fn send(&self, message: &[u8]) -> io::Result<()> {
            let message = decode(message)?;
            if let (ToMember::Order(..), Some(stop)) = (&message, &self.ends) {
                stop.stop(StopReason::Interrupted);
                // The others hear of what there is to hear.
                thread::sleep(LISTEN);
            }
            self.told.lock().unwrap().push(message);
            Ok(())
        }
        fn receive(&self, _: Duration) -> io::Result<Received> {
            thread::sleep(Duration::from_millis(1));
            Ok(Received::Nothing)
        }
        fn limit(&self, _: u32) {}
    }

    /// Ctrl-C at one shard, while the next pass is ordered of one after the other.
    #[test]
    fn who_is_told_of_a_pass_that_has_ended_is_told_of_its_end_after_it() {
        let stop = Stop::default();
        let links = [Silent { ends: Some(stop.clone()), ..Silent::default() }, Silent::default()].map(Arc::new);
        let seat = |link: &Arc<Silent>| Seat {
            host: String::new(),
            is_taken: true,
            link: Some(link.clone()),
            order: 0,
            told: 0,
            status: Status::Idle,
        };
        let shared = Arc::new(Shared {
            seats: Mutex::new(links.iter().map(seat).collect()),
            changed: Condvar::new(),
            stop,
            patience: Duration::from_secs(1000),
            clock: SharedClock::of_this_process(),
            is_over: AtomicBool::new(false),
        });
        let serve = |rank: usize| {
            let (shared, link) = (shared.clone(), links[rank - 1].clone());
            thread::spawn(move || shared.serve(rank, &*link))
        };
        let threads = Mutex::new(vec![serve(1), serve(2)]);
        let leader = Leader { shared: shared.clone(), threads, orders: AtomicU64::new(0) };
        leader.order(&Order { number: leader.next_order(), ..Order::default() }, Learned::default()).unwrap();
        let ends_last = || {
            let told = links[1].told.lock().unwrap();
            let order = told.iter().position(|message| matches!(message, ToMember::Order(..)));
            let end = told.iter().rposition(|message| matches!(message, ToMember::Stop { order: 1, .. }));
            order.zip(end).is_some_and(|(order, end)| end > order)
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !ends_last() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(ends_last(), "{:?}", links[1].told.lock().unwrap());
    }
}
