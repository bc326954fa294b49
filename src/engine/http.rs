//! As much of an HTTP/1.1 server as the engine needs: requests in, heads out.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::client::clock::now_ns;

const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;

/// One request, read to its end.
pub struct Request {
    pub method: String,
    pub path: String,
    pub request_id: String,
    pub body: Vec<u8>,
    pub keep_alive: bool,
    /// When its last byte had been read.
    pub received_ns: u64,
}

/// Reads the next request; `None` where the client has closed the connection instead.
///
/// # Errors
/// Where the connection fails, or what comes is not a request that can be answered: the connection is then closed.
pub async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((mut request, head, length)) = parse(buffer)? {
            while buffer.len() < head + length {
                if stream.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            request.received_ns = now_ns();
            request.body = buffer[head..head + length].to_vec();
            buffer.drain(..head + length);
            return Ok(Some(request));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes).map_err(|e| invalid(e.to_string()))? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial if bytes.len() > MAX_HEAD => return Err(invalid("the head is too large".to_owned())),
        httparse::Status::Partial => return Ok(None),
    };
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        request_id: String::new(),
        body: Vec::new(),
        keep_alive: parsed.version == Some(1),
        received_ns: 0,
    };
    let mut length = 0;
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            length =
                value.parse().ok().filter(|&n| n <= MAX_BODY).ok_or_else(|| invalid("content-length".to_owned()))?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(invalid("a chunked request is not taken".to_owned()));
        } else if header.name.eq_ignore_ascii_case("connection") {
            request.keep_alive = !value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("x-request-id") {
            request.request_id = value.to_owned();
        }
    }
    Ok(Some((request, head, length)))
}

/// A whole response with a body.
pub fn response(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Error",
    };
    let retry = if status == 429 { "retry-after: 1\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {reason}\r\n{retry}server: tachometer-engine\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The head of a streamed response.
pub fn stream_head(content_type: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nserver: tachometer-engine\r\ncache-control: no-cache\r\ntransfer-encoding: chunked";
    format!("{head}\r\ncontent-type: {content_type}\r\n\r\n").into_bytes()
}

/// Appends one chunk of a chunked body.
pub fn chunk(into: &mut Vec<u8>, payload: &[u8]) {
    use std::io::Write;
    // Writing to a Vec can't fail.
    _ = write!(into, "{:x}\r\n", payload.len());
    into.extend_from_slice(payload);
    into.extend_from_slice(b"\r\n");
}
