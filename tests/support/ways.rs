//! Every way in which a captured response fails: the table in docs/responses.md.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use super::capture::Capture;

/// The rows of the table: server, way, class, and how often it was captured with the first case.
pub fn table(captures: &[(String, PathBuf)]) -> String {
    let mut rows: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for (name, path) in captures {
        let Some((server, case)) = name.split_once('/').filter(|(server, _)| *server != "handmade") else { continue };
        let capture = Capture::read(path);
        if capture.request.method != "POST" {
            continue;
        }
        let Some(class) = capture.expect["outcome"].as_str().filter(|class| *class != "completed") else { continue };
        let row = (server.to_owned(), way(&capture, class), class.to_owned());
        rows.entry(row).or_default().push(case.to_owned());
    }
    let mut text = "| server | what it did | class | captured | for one |\n|---|---|---|---|---|\n".to_owned();
    for ((server, way, class), cases) in rows {
        // Writing to a String can't fail.
        _ = writeln!(text, "| {server} | {way} | `{class}` | {} | {} |", cases.len(), cases[0]);
    }
    text
}

/// HTTP, finish reason, shape of the event, or framing: whichever told.
fn way(capture: &Capture, class: &str) -> String {
    let body: Vec<u8> = capture.response.body.iter().flat_map(|piece| piece.bytes()).collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    let streams = if capture.streams() { "in a stream" } else { "in a body" };
    match class {
        "stream_error" if body.contains("event: error") => format!("`event: error` {streams}, HTTP 200"),
        "stream_error" if body.contains("\"object\":\"error\"") => {
            format!("`\"object\": \"error\"` {streams}, HTTP 200")
        }
        "stream_error" => format!("`{{\"error\": …}}` {streams}, HTTP 200"),
        "empty" if body.contains("finish_reason\":\"") => "a finish reason and no token".to_owned(),
        "empty" => "`[DONE]` and no token".to_owned(),
        "timeout" => "silence, with the connection open".to_owned(),
        "reset" => "the connection reset before an answer".to_owned(),
        "truncated" if capture.response.end == "eof" => "the connection closed in mid-stream".to_owned(),
        "truncated" if body.is_empty() => "a stream without any event".to_owned(),
        "truncated" => "a stream that ends without a finish reason".to_owned(),
        "malformed" if has_header(capture, "content-encoding") => "gzip that was not asked for".to_owned(),
        "malformed" => format!("another protocol than chat completions {streams}"),
        class => match class.strip_prefix("http_") {
            Some(status) if capture.streams() => format!("HTTP {status} where a stream was asked for"),
            Some(status) => format!("HTTP {status}"),
            None => class.to_owned(),
        },
    }
}

fn has_header(capture: &Capture, name: &str) -> bool {
    capture.response.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name))
}
