use std::fmt;

use crate::text::visible;

/// Why a request does not count as completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum FailureClass {
    /// No connection could be opened.
    Connect,
    /// The request did not end within its time limit.
    Timeout,
    /// The server answered with a status outside 2xx.
    Http(u16),
    /// An error event, or an error object, inside HTTP 200.
    StreamError,
    /// The stream ended with neither a finish reason nor `[DONE]`, or a body was cut.
    Truncated,
    /// The connection was reset, or closed before a response.
    Reset,
    /// The response ended properly and held no token.
    Empty,
    /// What came is not the protocol.
    Malformed,
    /// The run was stopped while the request was under way.
    Cancelled,
}

impl FailureClass {
    /// Whether the same request might succeed if it were sent again.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Connect | Self::Timeout | Self::StreamError | Self::Truncated | Self::Reset => true,
            Self::Http(status) => matches!(status, 408 | 429 | 500..),
            Self::Empty | Self::Malformed | Self::Cancelled => false,
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::Http(status) => write!(f, "http_{status}"),
            Self::StreamError => f.write_str("stream_error"),
            Self::Truncated => f.write_str("truncated"),
            Self::Reset => f.write_str("reset"),
            Self::Empty => f.write_str("empty"),
            Self::Malformed => f.write_str("malformed"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// A failed request: its class, and one line that says what the server or the system said.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// The class under which it is counted.
    pub class: FailureClass,
    /// For a person; not meant to be matched on.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure with its message.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

/// How much of a foreign message is shown.
const SHOWN: usize = 300;

/// A foreign text as one line of bounded length, without what would act on a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace().map(visible) {
        if line.len() + word.len() > SHOWN {
            line.extend(word.chars().take(SHOWN.saturating_sub(line.len())));
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    line
}
