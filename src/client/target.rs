//! The server as connections see it, and how long it may take.

use std::time::Duration;

use super::{ServerUrl, Trust, habits::Habits, proxy::Proxy};

/// How long each part of a request may take. None of them is ever infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Opening a connection, TLS included.
    pub connect: Duration,
    /// From the send to the first token, where the answer is streamed.
    pub first_token: Duration,
    /// From one event to the next once the first token has come; pings are no events.
    pub stall: Duration,
    /// From the send to the end.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_token: Duration::from_secs(300),
            stall: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

/// The server as a connection sees it.
pub struct Target {
    /// Where it is.
    pub url: ServerUrl,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What stands between, where the environment names one.
    pub proxy: Option<Proxy>,
    /// What was learned on the way of how the server ends answers and connections.
    pub(super) habits: Habits,
    /// Set for https.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::tls::Tls>,
}

impl Target {
    /// A server that nothing is known of yet.
    ///
    /// # Errors
    /// For https, where the certificates can't be had, or this build has no TLS; a proxy that can't be used.
    pub fn new(url: ServerUrl, timeouts: Timeouts, trust: &Trust) -> Result<Self, String> {
        #[cfg(not(feature = "tls"))]
        if url.tls {
            _ = trust;
            return Err("this build of tachometer lacks the feature `tls`, which https needs".to_owned());
        }
        Ok(Self {
            proxy: Proxy::of_environment(&url)?,
            timeouts,
            habits: Habits::default(),
            #[cfg(feature = "tls")]
            tls: if url.tls { Some(super::tls::Tls::new(trust)?) } else { None },
            url,
        })
    }

    /// What was learned of the server's habits.
    #[cfg(feature = "harness")]
    pub(crate) fn learned(&self) -> super::Learned {
        self.habits.learned()
    }

    /// Takes over what another process has learned of them.
    #[cfg(feature = "harness")]
    pub(crate) fn adopt(&self, learned: super::Learned) {
        self.habits.adopt(learned);
    }

    /// Whether the server was found to close each connection after one answer.
    pub fn closes_after_each_answer(&self) -> bool {
        self.habits.closes_after_each_answer()
    }
}
