use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use tokio::sync::Semaphore;

use super::lateness::Lateness;

/// What the clients of one thread share.
#[derive(Clone)]
pub struct PerThread {
    /// How late their reads run.
    pub lateness: Lateness,
    /// Buffers that none of their connections needs.
    pub(super) buffers: Buffers,
    /// The sends of one turn of the runtime.
    sends: Arc<Semaphore>,
    requests: Arc<AtomicU32>,
    resent: Arc<AtomicU32>,
}

/// Bytes that one read can take in. A larger piece arrives in several reads.
const READ_BUFFER: usize = 64 << 10;

/// Read buffers, lent to the connections that have something to read: thousands of connections need a few.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    /// One that is free, or a new one.
    pub fn take(&self) -> Box<[u8]> {
        // Its thread is alone with them, so that nobody waits.
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| vec![0; READ_BUFFER].into_boxed_slice())
    }

    /// Takes one back.
    pub fn give(&self, buffer: Box<[u8]>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// One request in so many may be sent again because its connection proved closed; the first always may.
const REQUESTS_A_RESEND: u32 = 100;

/// Where many clients want to send at once, so many do before the thread looks at its sockets again: what has arrived for
/// the others does not wait until the last request is written.
const SENDS_A_TURN: usize = 8;

impl Default for PerThread {
    fn default() -> Self {
        Self {
            lateness: Lateness::default(),
            buffers: Buffers::default(),
            sends: Arc::new(Semaphore::new(SENDS_A_TURN)),
            requests: Arc::default(),
            resent: Arc::default(),
        }
    }
}

impl PerThread {
    /// Takes note of a request.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Whether one more request may be sent again, which is then noted.
    pub(super) fn may_resend(&self) -> bool {
        let may = self.resent.load(Relaxed) <= self.requests.load(Relaxed) / REQUESTS_A_RESEND;
        self.resent.fetch_add(u32::from(may), Relaxed);
        may
    }

    /// Sends, at its turn.
    pub(super) async fn send<T>(&self, send: impl Future<Output = T>) -> T {
        // The semaphore is never closed.
        let turn = self.sends.acquire().await;
        let sent = send.await;
        if self.sends.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        drop(turn);
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_lent_again() {
        let buffers = Buffers::default();
        let (first, second) = (buffers.take(), buffers.clone().take());
        assert_eq!((first.len(), second.len()), (READ_BUFFER, READ_BUFFER));
        let address = first.as_ptr();
        buffers.give(first);
        let again = buffers.take();
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn one_request_in_a_hundred_may_be_sent_again() {
        let thread = PerThread::default();
        let mut resent = Vec::new();
        for i in 1..=350 {
            thread.begin_request();
            if thread.may_resend() {
                resent.push(i);
            }
        }
        assert_eq!(resent, [1, 100, 200, 300]);
    }
}
