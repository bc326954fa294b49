//! A mock server that answers one request with a captured response, in whatever pieces a test wants.
//!
//! It shares a single-threaded runtime with the client, and lets the client run between two writes. So the client reads each
//! write before the next one is made, and what it saw in which piece is certain, however slow the machine is.

use std::{cell::RefCell, io, time::Duration};

use tachometer::internals::now_ns;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::capture::{Capture, Response};

/// How the bytes of the response are cut into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As they were captured: the head, then each piece.
    AsRecorded,
    /// A write for each byte.
    SingleBytes,
    /// One write.
    OnePiece,
}

/// Answers the first request on the listener and plays the captured end. Notes before each recorded piece is written what
/// time it is by the clock that the client stamps with; only for [`Cut::AsRecorded`].
pub async fn play(
    listener: TcpListener,
    capture: &Capture,
    cut: Cut,
    written_ns: &RefCell<Vec<u64>>,
) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    read_request(&mut stream).await?;
    let response = &capture.response;
    if response.end == "ConnectionResetError" {
        // Closing with a linger of zero sends RST.
        stream.set_zero_linger()?;
        return Ok(());
    }
    match cut {
        Cut::AsRecorded => {
            let (head, pieces, tail) = wire(response);
            write(&mut stream, &head).await?;
            for piece in pieces {
                written_ns.borrow_mut().push(now_ns());
                write(&mut stream, &piece).await?;
            }
            write(&mut stream, &tail).await?;
        }
        Cut::SingleBytes => {
            for byte in whole(response) {
                write(&mut stream, &[byte]).await?;
            }
        }
        Cut::OnePiece => write(&mut stream, &whole(response)).await?,
    }
    match response.end.as_str() {
        "complete" => _ = stream.read(&mut [0]).await,
        "timeout" => tokio::time::sleep(Duration::from_secs(60)).await,
        "eof" => {}
        other => panic!("unknown end `{other}`"),
    }
    Ok(())
}

/// Answers `GET path` with the captured response and anything else with 404, until the client is done.
pub async fn serve_get(listener: TcpListener, capture: &Capture) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let request = read_request(&mut stream).await?;
        let asked = request.split(' ').nth(1).unwrap_or_default();
        if asked == capture.request.path {
            stream.write_all(&whole(&capture.response)).await?;
        } else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        }
    }
}

/// Writes, then lets the client read.
async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    stream.write_all(bytes).await?;
    // Each turn polls the sockets once; the client's task wakes in the first one and runs before the last one ends.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Head, body pieces in their framing, and what ends the body.
fn wire(response: &Response) -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
    let status = response.status.expect("a response has a status");
    let chunked = response.framing.as_deref() == Some("chunked");
    let mut head = format!("HTTP/1.1 {status} Captured\r\n");
    for (name, value) in &response.headers {
        // The framing is written anew below.
        if !["transfer-encoding", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    let bodies: Vec<Vec<u8>> = response.body.iter().map(|piece| piece.bytes()).collect();
    let mut tail = Vec::new();
    let pieces = if chunked {
        head += "Transfer-Encoding: chunked\r\n\r\n";
        if response.end == "complete" {
            tail = b"0\r\n\r\n".to_vec();
        }
        let frame = |body: &Vec<u8>| [format!("{:X}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
        bodies.iter().map(frame).collect()
    } else {
        head += &format!("Content-Length: {}\r\n\r\n", bodies.iter().map(Vec::len).sum::<usize>());
        bodies
    };
    (head.into_bytes(), pieces, tail)
}

fn whole(response: &Response) -> Vec<u8> {
    let (head, pieces, tail) = wire(response);
    [head, pieces.concat(), tail].concat()
}

/// Reads a request to its end; gives its first line.
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(head.lines().next().unwrap_or_default().to_owned());
        }
    }
}
