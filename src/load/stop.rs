use tokio::sync::watch;

/// Why a pass ends before its prompts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// More requests failed than may.
    Failures,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// Something else went wrong: a connection, a dataset.
    Error,
}

/// Ends passes before their prompts do: nothing new is sent, and what is in flight is given up. Clones are one and the same.
#[derive(Clone)]
pub struct Stop(watch::Sender<Option<StopReason>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Ends the pass that runs, and any that is started later. An interruption outranks failures.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|now| {
            let change = now.is_none() || reason == StopReason::Interrupted && *now != Some(reason);
            if change {
                *now = Some(reason);
            }
            change
        });
    }

    /// Why to stop, if so.
    pub fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Lets the next benchmark run, after one that failed too often.
    pub fn forgive_failures(&self) {
        self.0.send_if_modified(|now| now.take_if(|now| *now == StopReason::Failures).is_some());
    }

    /// What comes of a future; `None` where it is time to stop before.
    pub async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = self.stopped() => None,
        }
    }

    /// Waits until it is time to stop.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as this does.
        _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_comes_before_a_stop_and_what_is_not_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let stop = Stop::default();
            assert_eq!(stop.unless_stopped(async { 1 }).await, Some(1));
            stop.stop(StopReason::Error);
            assert_eq!(stop.unless_stopped(async { 2 }).await, Some(2));
            assert_eq!(stop.unless_stopped(std::future::pending::<i32>()).await, None);
            // One that has not come yet is waited for.
            let stop = Stop::default();
            let waiting = tokio::spawn({
                let stop = stop.clone();
                async move { stop.stopped().await }
            });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            stop.stop(StopReason::Error);
            waiting.await.unwrap();
        });
    }

    #[test]
    fn an_interruption_outranks_failures_and_is_not_forgiven() {
        let stop = Stop::default();
        assert_eq!(stop.reason(), None);
        stop.stop(StopReason::Failures);
        stop.clone().forgive_failures();
        assert_eq!(stop.reason(), None);
        stop.stop(StopReason::Failures);
        assert_eq!(stop.reason(), Some(StopReason::Failures));
        stop.stop(StopReason::Interrupted);
        stop.stop(StopReason::Failures);
        stop.forgive_failures();
        assert_eq!(stop.reason(), Some(StopReason::Interrupted));
    }
}
