//! What the engine does wrong on purpose, so that a client's counts of failures can be checked against the truth.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{dialect::Wording, http};
use crate::client::FailureClass;

/// One way in which a streamed answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503 with a JSON error.
    Unavailable,
    /// 429 with Retry-After.
    TooMany,
    /// HTML, with status 200.
    Html,
    /// Two tokens, an error event, `[DONE]`.
    ErrorEvent,
    /// A finish reason and `[DONE]`, and no token.
    Empty,
    /// Two tokens, an event that is not JSON, `[DONE]`.
    BadJson,
    /// Two tokens, and the connection is closed.
    Truncated,
    /// Two tokens, the beginning of an event, and the connection is reset.
    Reset,
    /// The head, and silence.
    Silent,
    /// Two tokens, and silence.
    Stall,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unavailable,
        Self::TooMany,
        Self::Html,
        Self::ErrorEvent,
        Self::Empty,
        Self::BadJson,
        Self::Truncated,
        Self::Reset,
        Self::Silent,
        Self::Stall,
    ];

    /// The class that a client has to find.
    pub fn class(self) -> FailureClass {
        match self {
            Self::Unavailable => FailureClass::Http(503),
            Self::TooMany => FailureClass::Http(429),
            Self::Html | Self::BadJson => FailureClass::Malformed,
            Self::ErrorEvent => FailureClass::StreamError,
            Self::Empty => FailureClass::Empty,
            Self::Truncated => FailureClass::Truncated,
            Self::Reset => FailureClass::Reset,
            Self::Silent | Self::Stall => FailureClass::Timeout,
        }
    }
}

/// Before a connection is reset: what was sent on it gets so long to arrive.
const LINGER: Duration = Duration::from_millis(20);

/// Does it; gives whether the connection can be used again.
pub(super) async fn commit(stream: &mut TcpStream, fault: Fault, wording: &mut dyn Wording) -> io::Result<bool> {
    let mut bytes = match fault {
        Fault::Unavailable => http::response(503, "application/json", r#"{"error":{"message":"no instance is free"}}"#),
        Fault::TooMany => http::response(429, "application/json", r#"{"error":{"message":"too many requests"}}"#),
        Fault::Html => http::response(200, "text/html", "<html><h1>It works!</h1></html>"),
        _ => wording.greeting(),
    };
    let has_tokens = !matches!(fault, Fault::Unavailable | Fault::TooMany | Fault::Html | Fault::Empty | Fault::Silent);
    if has_tokens {
        let mut token = Vec::new();
        for first in [true, false] {
            token.clear();
            wording.token("token", first, &mut token);
            bytes.extend_from_slice(&token);
        }
    }
    let last = match fault {
        Fault::ErrorEvent => Some(r#"{"error":{"message":"out of memory"}}"#),
        Fault::BadJson => Some(r#"{"choices":["#),
        _ => None,
    };
    if let Some(last) = last {
        http::chunk(&mut bytes, &wording.item(last));
        http::chunk(&mut bytes, &wording.item("[DONE]"));
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
    match fault {
        Fault::Empty => {
            let mut ending = Vec::new();
            let usage = serde_json::json!({"prompt_tokens": 1, "completion_tokens": 0});
            wording.ending("stop", &usage, &mut ending);
            bytes.extend_from_slice(&ending);
        }
        Fault::Reset => {
            let item = wording.item(r#"{"choices":[]}"#);
            http::chunk(&mut bytes, &item[..item.len() / 2]);
        }
        _ => {}
    }
    stream.write_all(&bytes).await?;
    match fault {
        Fault::Truncated => Ok(false),
        Fault::Reset => {
            tokio::time::sleep(LINGER).await;
            stream.set_zero_linger()?;
            Ok(false)
        }
        Fault::Silent | Fault::Stall => {
            // Until the client goes.
            while stream.read(&mut [0; 1024]).await? > 0 {}
            Ok(false)
        }
        _ => Ok(true),
    }
}
