use std::rc::Rc;

use tokio::sync::Semaphore;

use super::lateness::Lateness;

/// What the clients of one thread share.
#[derive(Clone)]
pub struct PerThread {
    /// How late their reads run.
    pub lateness: Lateness,
    /// The sends of one turn of the runtime.
    sends: Rc<Semaphore>,
}

/// Where many clients want to send at once, so many do before the thread looks at its sockets again: what has arrived for
/// the others does not wait until the last request is written.
const SENDS_A_TURN: usize = 8;

impl Default for PerThread {
    fn default() -> Self {
        Self { lateness: Lateness::default(), sends: Rc::new(Semaphore::new(SENDS_A_TURN)) }
    }
}

impl PerThread {
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
