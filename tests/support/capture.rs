//! A captured response: `fixtures/streams/<server>/<case>.json`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tachometer::client::Api;

#[derive(Deserialize)]
pub struct Capture {
    pub request: Request,
    pub response: Response,
    pub expect: Value,
}

#[derive(Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub json: Value,
}

#[derive(Deserialize)]
pub struct Response {
    pub status: Option<u16>,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    pub framing: Option<String>,
    #[serde(default)]
    pub body: Vec<Piece>,
    pub end: String,
}

#[derive(Deserialize)]
pub struct Piece {
    pub text: Option<String>,
    pub base64: Option<String>,
}

impl Piece {
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => decode_base64(base64),
            (None, None) => panic!("a piece has neither text nor base64"),
        }
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for symbol in text.bytes().filter(|b| *b != b'=') {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("{other} is not base64"),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

impl Capture {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The API of its path.
    pub fn api(&self) -> Api {
        let of_path = |api: &Api| [false, true].iter().any(|stream| api.path(*stream) == self.request.path);
        Api::all().find(of_path).unwrap_or_default()
    }

    /// Whether the request asked for a stream.
    pub fn streams(&self) -> bool {
        self.request.json["stream"].as_bool().unwrap_or(false)
    }
}

/// Every capture, as `<server>/<case>` and its path, in order.
pub fn all() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams");
    let mut found = Vec::new();
    for server in std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(server).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.strip_prefix(&root).unwrap().with_extension("").display().to_string();
                found.push((name, path));
            }
        }
    }
    found.sort();
    found
}
