//! HTTP/1.1 responses, as bytes that arrive in pieces.
//!
//! The head is httparse's work. The body's framing is decoded here rather than by an HTTP library because the arrival time
//! of every read must stay attached to the bytes that came with it, and because the way in which a response breaks off is
//! itself a result.

use super::failure::{Failure, FailureClass};

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`: that many bytes are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunked),
    /// Until the server closes the connection.
    UntilClose,
}

/// What a response's head says, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// `Content-Type`, in lower case.
    pub content_type: String,
    /// `Content-Encoding` other than `identity`.
    pub content_encoding: Option<String>,
    /// Whether the connection can carry another request after this one.
    pub keep_alive: bool,
    /// `Keep-Alive: max=`: how many requests the server takes on one connection.
    pub keep_alive_max: Option<u32>,
    /// `Keep-Alive: timeout=`: for how many seconds it keeps an idle one.
    pub keep_alive_timeout_s: Option<u64>,
    /// `Location`, of a redirect.
    pub location: Option<String>,
    /// `Retry-After`, of a server that has too much to do.
    pub retry_after: Option<String>,
}

/// No head of an honest server is larger; less than what one read takes in.
const MAX_HEAD: usize = 32 << 10;
const MAX_HEADERS: usize = 128;

/// Parses a head at the start of `bytes`: `None` while it is incomplete, else the head and its length. Interim (1xx)
/// responses are passed over.
///
/// # Errors
/// [`FailureClass::Malformed`] where it is not HTTP.
pub fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut skipped = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let malformed = |what: String| Failure::new(FailureClass::Malformed, what);
        let length = match response.parse(&bytes[skipped..]) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() - skipped > MAX_HEAD => {
                return Err(malformed(format!("the response's head is larger than {MAX_HEAD} bytes")));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(e) => return Err(malformed(format!("the response is not HTTP/1.1: {e}"))),
        };
        let status = response.code.unwrap_or_default();
        if (100..200).contains(&status) {
            skipped += length;
            continue;
        }
        let head = read_headers(status, response.version == Some(1), response.headers).map_err(malformed)?;
        return Ok(Some((head, skipped + length)));
    }
}

fn read_headers(status: u16, http_1_1: bool, headers: &[httparse::Header]) -> Result<Head, String> {
    let mut head = Head {
        status,
        framing: Framing::UntilClose,
        content_type: String::new(),
        content_encoding: None,
        keep_alive: http_1_1,
        keep_alive_max: None,
        keep_alive_timeout_s: None,
        location: None,
        retry_after: None,
    };
    let mut length = None;
    let mut chunked = false;
    for header in headers {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        match header.name.to_ascii_lowercase().as_str() {
            "content-type" => head.content_type = value.to_ascii_lowercase(),
            "content-encoding" if !value.is_empty() && !value.eq_ignore_ascii_case("identity") => {
                head.content_encoding = Some(value.to_owned());
            }
            "content-length" => {
                let parsed: u64 = value.parse().map_err(|_| format!("content-length `{value}` is not a number"))?;
                if length.is_some_and(|other| other != parsed) {
                    return Err("two different content-length headers".to_owned());
                }
                length = Some(parsed);
            }
            "transfer-encoding" => chunked = value.to_ascii_lowercase().ends_with("chunked"),
            "connection" => {
                for option in value.split(',').map(str::trim) {
                    if option.eq_ignore_ascii_case("close") {
                        head.keep_alive = false;
                    } else if option.eq_ignore_ascii_case("keep-alive") {
                        head.keep_alive = true;
                    }
                }
            }
            "keep-alive" => {
                for (key, number) in value.split(',').filter_map(|part| part.trim().split_once('=')) {
                    match key.trim() {
                        "max" => head.keep_alive_max = number.trim().parse().ok(),
                        "timeout" => head.keep_alive_timeout_s = number.trim().parse().ok(),
                        _ => {}
                    }
                }
            }
            "retry-after" => head.retry_after = Some(value.to_owned()),
            "location" => head.location = Some(value.to_owned()),
            _ => {}
        }
    }
    head.framing = match length {
        _ if matches!(status, 204 | 304) => Framing::Length(0),
        _ if chunked => Framing::Chunked(Chunked::default()),
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    head.keep_alive &= head.framing != Framing::UntilClose;
    Ok(head)
}

/// Where the decoder stands in a chunked body (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunked {
    state: ChunkState,
    /// Bytes of the current chunk still to come; while its size is read, the size so far.
    remaining: u64,
    digits: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    Extension,
    Data,
    DataEnd,
    TrailerStart,
    Trailer,
    Done,
}

impl Framing {
    /// Takes the next bytes of the connection, gives `payload` what of them is body, and says how many it used.
    ///
    /// # Errors
    /// [`FailureClass::Malformed`] where the chunking is broken.
    pub fn decode(&mut self, bytes: &[u8], mut payload: impl FnMut(&[u8])) -> Result<usize, Failure> {
        match self {
            Self::UntilClose => {
                payload(bytes);
                Ok(bytes.len())
            }
            Self::Length(remaining) => {
                let take = (*remaining).min(bytes.len() as u64) as usize;
                *remaining -= take as u64;
                if take > 0 {
                    payload(&bytes[..take]);
                }
                Ok(take)
            }
            Self::Chunked(chunked) => chunked.decode(bytes, payload),
        }
    }

    /// Whether the body is complete.
    pub fn is_done(self) -> bool {
        match self {
            Self::UntilClose => false,
            Self::Length(remaining) => remaining == 0,
            Self::Chunked(chunked) => chunked.state == ChunkState::Done,
        }
    }
}

impl Chunked {
    fn decode(&mut self, bytes: &[u8], mut payload: impl FnMut(&[u8])) -> Result<usize, Failure> {
        let mut at = 0;
        while at < bytes.len() && self.state != ChunkState::Done {
            let byte = bytes[at];
            if self.state == ChunkState::Data {
                let take = self.remaining.min((bytes.len() - at) as u64) as usize;
                payload(&bytes[at..at + take]);
                at += take;
                self.remaining -= take as u64;
                if self.remaining == 0 {
                    self.state = ChunkState::DataEnd;
                }
                continue;
            }
            at += 1;
            self.state = match (self.state, byte) {
                (ChunkState::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < 16 => {
                    let digit = (byte as char).to_digit(16).unwrap_or_default();
                    self.remaining = self.remaining << 4 | u64::from(digit);
                    self.digits += 1;
                    ChunkState::Size
                }
                (ChunkState::Size, b' ' | b'\t' | b';' | b'\r') if self.digits > 0 => ChunkState::Extension,
                (ChunkState::Size | ChunkState::Extension, b'\n') if self.digits > 0 => {
                    self.digits = 0;
                    if self.remaining > 0 { ChunkState::Data } else { ChunkState::TrailerStart }
                }
                (ChunkState::Extension, _) => ChunkState::Extension,
                (ChunkState::DataEnd, b'\r') => ChunkState::DataEnd,
                (ChunkState::DataEnd, b'\n') => ChunkState::Size,
                (ChunkState::TrailerStart, b'\r') => ChunkState::TrailerStart,
                (ChunkState::TrailerStart, b'\n') => ChunkState::Done,
                (ChunkState::Trailer, b'\n') => ChunkState::TrailerStart,
                (ChunkState::TrailerStart | ChunkState::Trailer, _) => ChunkState::Trailer,
                _ => return Err(Failure::new(FailureClass::Malformed, "the chunked encoding is broken")),
            };
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Body and rest, or the failure, however the bytes are cut.
    fn decode(mut framing: Framing, bytes: &[u8], piece: usize) -> Result<(String, usize, bool), FailureClass> {
        let mut body = Vec::new();
        let mut used = 0;
        for piece in bytes.chunks(piece) {
            used += framing.decode(piece, |part| body.extend_from_slice(part)).map_err(|f| f.class)?;
        }
        Ok((String::from_utf8(body).unwrap(), used, framing.is_done()))
    }

    #[test]
    fn bodies_end_where_the_framing_says() {
        let chunked = || Framing::Chunked(Chunked::default());
        let ok = |body: &str, used, done| Ok((body.to_owned(), used, done));
        let table = [
            (chunked(), "5\r\nhello\r\n0\r\n\r\nX", ok("hello", 15, true)),
            (
                chunked(),
                "A;x=y\r\n0123456789\r\n00a \r\n0123456789\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
                ok("01234567890123456789", 54, true),
            ),
            (chunked(), "5\nhello\n0\n\n", ok("hello", 11, true)),
            (chunked(), "5\r\nhel", ok("hel", 6, false)),
            (chunked(), "5\r\nhello\r\n0\r\n", ok("hello", 13, false)),
            (chunked(), "x\r\n", Err(FailureClass::Malformed)),
            (chunked(), "\r\n", Err(FailureClass::Malformed)),
            (chunked(), "\n", Err(FailureClass::Malformed)),
            (chunked(), ";x\r\n", Err(FailureClass::Malformed)),
            (chunked(), "5\r\nhelloX", Err(FailureClass::Malformed)),
            (chunked(), "11111111111111111\r\n", Err(FailureClass::Malformed)),
            (Framing::Length(5), "helloX", ok("hello", 5, true)),
            (Framing::Length(0), "X", ok("", 0, true)),
            (Framing::UntilClose, "hello", ok("hello", 5, false)),
        ];
        for (framing, bytes, expected) in table {
            for piece in [1, 2, 3, 100] {
                assert_eq!(decode(framing, bytes.as_bytes(), piece), expected, "{bytes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_body_of_nothing_has_no_payload() {
        let mut framing = Framing::Length(0);
        assert_eq!(framing.decode(b"X", |_| panic!("a payload")).unwrap(), 0);
    }

    #[test]
    fn heads() {
        let parse = |text: &str| parse_head(text.as_bytes());
        let (head, length) = parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\nbody").unwrap().unwrap();
        assert_eq!((head.status, head.content_type.as_str(), length), (200, "text/event-stream", 137));
        assert_eq!((head.keep_alive, head.keep_alive_max, head.keep_alive_timeout_s), (true, Some(100), Some(5)));
        assert!(matches!(head.framing, Framing::Chunked(_)));
        let (head, _) =
            parse("HTTP/1.0 302 Found\r\nLocation: /x\r\ncontent-length: 3\r\ncontent-encoding: gzip\r\n\r\n")
                .unwrap()
                .unwrap();
        assert_eq!((head.keep_alive, head.framing), (false, Framing::Length(3)));
        assert_eq!((head.location.as_deref(), head.content_encoding.as_deref()), (Some("/x"), Some("gzip")));
        let (head, _) = parse("HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.keep_alive, head.framing), (false, Framing::UntilClose));
        assert!(parse("HTTP/1.1 200 OK\r\nA: b").unwrap().is_none());
        let of = |headers: &str| {
            parse(&format!("HTTP/1.1 200 OK\r\n{headers}content-length: 3\r\n\r\n")).unwrap().unwrap().0
        };
        for (headers, keep_alive) in [
            ("", true),
            ("connection: close\r\n", false),
            ("Connection: upgrade, Close\r\n", false),
            ("connection: keep-alive\r\n", true),
            ("connection: x\r\n", true),
        ] {
            assert_eq!(of(headers).keep_alive, keep_alive, "{headers}");
        }
        let (old, _) =
            parse("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 3\r\n\r\n").unwrap().unwrap();
        assert!(old.keep_alive);
        assert_eq!(of("Retry-After: 7\r\n").retry_after.as_deref(), Some("7"));
        assert_eq!(of("retry-other: 7\r\n").retry_after, None);
        for plain in ["", "content-encoding: identity\r\n", "content-encoding: Identity\r\n", "content-encoding:\r\n"] {
            assert_eq!(of(plain).content_encoding, None, "{plain}");
        }
        assert_eq!(of("content-length: 3\r\n").framing, Framing::Length(3));
        for status in [204, 304] {
            let (head, _) = parse(&format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n")).unwrap().unwrap();
            assert_eq!((head.framing, head.keep_alive), (Framing::Length(0), true), "{status}");
        }
        // What counts is the head itself, and not what was passed over before it.
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1500);
        assert!(parse(&format!("{interim}HTTP/1.1 200 OK\r\n")).unwrap().is_none());
        let largest = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_HEAD - 20));
        assert_eq!(largest.len(), MAX_HEAD);
        assert!(parse(&largest).unwrap().is_none());
        assert_eq!(parse(&format!("{largest}b")).unwrap_err().class, FailureClass::Malformed);
        assert_eq!(parse(&format!("{interim}{largest}b")).unwrap_err().class, FailureClass::Malformed);
        for bad in [
            "hello there\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_HEAD)),
        ] {
            assert_eq!(parse(bad).unwrap_err().class, FailureClass::Malformed);
        }
    }
}
