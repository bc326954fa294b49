//! The bytes of one request.

use std::{borrow::Cow, fmt, io::Write};

use serde::Serialize;
use serde_json::{Map, Value};

use super::api::{Api, Asked};
use crate::dataset::Prompt;

/// What is asked of the server beside the prompt; part of the workload's digest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sampling {
    /// The protocol.
    pub api: Api,
    /// Whether tokens are streamed.
    pub stream: bool,
    /// Whether the server is told to go on to the full length.
    pub ignore_eos: bool,
    /// Sampling temperature.
    pub temperature: f64,
    /// Nucleus sampling threshold.
    pub top_p: f64,
    /// A fixed number of tokens to ask for, instead of the dataset's own answer length.
    pub max_tokens: Option<u32>,
    /// The field that asks for it: `max_tokens` or `max_completion_tokens`.
    pub max_tokens_field: String,
    /// Whether `stream_options.include_usage` is sent with streams.
    pub include_usage: bool,
    /// Fields merged into every body; they win.
    pub extra_body: Map<String, Value>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            api: Api::default(),
            stream: false,
            ignore_eos: true,
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: None,
            max_tokens_field: "max_tokens".to_owned(),
            include_usage: true,
            extra_body: Map::new(),
        }
    }
}

impl Sampling {
    /// How many tokens this prompt's request asks for.
    pub fn requested_tokens(&self, prompt: &Prompt) -> u32 {
        if self.api.generates() { self.max_tokens.unwrap_or(prompt.output_tokens) } else { 0 }
    }
}

/// Header names and values to send, and the key; values are secrets, and never shown.
#[derive(Clone, Default)]
pub struct Headers {
    key: Option<String>,
    others: Vec<(String, String)>,
}

impl Headers {
    /// Adds one.
    ///
    /// # Errors
    /// Where the name or value holds what a header can't; the value is not repeated.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), String> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(format!("`{}` is not a header name", name.escape_debug()));
        }
        if has_control_characters(value) {
            return Err(format!("the value of the header `{name}` holds control characters"));
        }
        self.others.push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Sets the key, without the white space around it, which goes out as the API has it: mostly as `authorization: Bearer …`.
    ///
    /// # Errors
    /// Where it holds what a header can't; it is not repeated.
    pub fn set_key(&mut self, key: &str) -> Result<(), String> {
        let key = key.trim();
        if has_control_characters(key) {
            return Err("the key holds control characters".to_owned());
        }
        self.key = Some(key.to_owned());
        Ok(())
    }

    /// Whether one of that name was added.
    fn has(&self, name: &str) -> bool {
        self.others.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// Names and values as an API wants them, the key first.
    pub fn of(&self, api: Api) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let key = self.key.as_deref().map(|key| api.dialect().credentials(key));
        let others = self.others.iter().map(|(name, value)| (name.as_str(), Cow::from(value)));
        key.map(|(name, value)| (name, Cow::from(value))).into_iter().chain(others)
    }
}

fn has_control_characters(value: &str) -> bool {
    value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7F)
}

/// A value shorter than this is no secret, and may stand anywhere by chance.
const SHORTEST_SECRET: usize = 4;

impl Headers {
    /// A foreign text without these values, nor what follows their first word (`Bearer …`, `Token …`): servers like to repeat
    /// them ("incorrect key: …"). Where a text was cut in the middle of one, its beginning is hidden too.
    pub(crate) fn redact(&self, text: String) -> String {
        let others = self.others.iter().map(|(_, value)| value.clone());
        let key = self.key.iter().map(|key| format!("Bearer {key}"));
        key.chain(others).fold(text, |text, value| {
            let after_scheme = value.split_once(' ').map(|(_, rest)| rest.trim());
            // The whole first: what is left of it would say nothing.
            let secrets = [Some(value.as_str()), after_scheme].into_iter().flatten();
            secrets.filter(|secret| secret.len() >= SHORTEST_SECRET).fold(text, |text, secret| hide(secret, &text))
        })
    }
}

fn hide(secret: &str, text: &str) -> String {
    let text = text.replace(secret, HIDDEN);
    let cut = |&n: &usize| secret.is_char_boundary(n) && text.contains(&format!("{}…", &secret[..n]));
    match (SHORTEST_SECRET..secret.len()).rev().find(cut) {
        Some(n) => text.replace(&format!("{}…", &secret[..n]), HIDDEN),
        None => text,
    }
}

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "(the key)");
        f.debug_list().entries(key.into_iter().chain(self.others.iter().map(|(name, _)| name.as_str()))).finish()
    }
}

/// Writes the requests of one benchmark; what all of them share is built once.
#[derive(Clone)]
pub struct RequestWriter {
    headers: Headers,
    head: Vec<u8>,
    body: Map<String, Value>,
    sampling: Sampling,
}

impl RequestWriter {
    /// For a server (its Host header and path prefix), a model and sampling parameters.
    pub fn new(url: &super::ServerUrl, model: &str, sampling: &Sampling, headers: &Headers) -> Self {
        let dialect = sampling.api.dialect();
        let mut head = format!(
            "POST {}{} HTTP/1.1\r\ncontent-type: application/json\r\naccept: {}\r\n",
            url.prefix,
            dialect.path(sampling.stream),
            if sampling.stream && dialect.generates() { dialect.framing().media_type() } else { "application/json" },
        );
        // Those that were given win.
        let authority = url.authority();
        let usual = [("host", authority.as_str()), ("user-agent", concat!("tachometer/", env!("CARGO_PKG_VERSION")))];
        for (name, value) in usual.iter().chain(dialect.headers()).filter(|(name, _)| !headers.has(name)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        for (name, value) in headers.of(sampling.api) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let Sampling { stream, ignore_eos, temperature, top_p, ref max_tokens_field, include_usage, .. } = *sampling;
        let asked = Asked { model, stream, ignore_eos, temperature, top_p, max_tokens_field, include_usage };
        Self {
            headers: headers.clone(),
            head: head.into_bytes(),
            body: dialect.body(&asked),
            sampling: sampling.clone(),
        }
    }

    /// Whether streams are asked to report token counts.
    pub(super) fn asks_usage(&self) -> bool {
        self.sampling.api.dialect().asks_usage(&self.body)
    }

    /// What is asked beside the prompts.
    pub(super) fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// A foreign text without the values of the headers that are sent.
    pub(super) fn redact(&self, text: String) -> String {
        self.headers.redact(text)
    }

    /// Replaces what `into` holds by the whole request. `client` is the number of the sending client, from 0.
    pub fn write(&self, prompt: &Prompt, client: usize, request_id: &str, into: &mut Vec<u8>) {
        let mut body = self.body.clone();
        let Sampling { api, ref max_tokens_field, .. } = self.sampling;
        api.dialect().set_prompt(&mut body, prompt, client);
        api.dialect().set_length(&mut body, max_tokens_field, self.sampling.requested_tokens(prompt));
        for (key, value) in &self.sampling.extra_body {
            merge(body.entry(key).or_insert(Value::Null), value);
        }
        let body = Value::Object(body).to_string();
        into.clear();
        into.extend_from_slice(&self.head);
        // Writing to a Vec can't fail.
        _ = write!(into, "x-request-id: {request_id}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    }
}

/// Objects merge key by key; anything else replaces.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(sampling: &Sampling) -> (String, Value) {
        let url = crate::client::ServerUrl::parse("h:1/x").unwrap();
        let mut headers = Headers::default();
        headers.set_key("k").unwrap();
        headers.push("X-Team", "t").unwrap();
        let prompt = Prompt::new("Say \"hi\"", 16);
        let mut bytes = b"rest of the last one".to_vec();
        RequestWriter::new(&url, "m", sampling, &headers).write(&prompt, 3, "id-4", &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(
            head.contains("x-request-id: id-4") && head.contains("\r\nauthorization: Bearer k\r\nX-Team: t\r\n"),
            "{head}"
        );
        (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn values_are_taken_out_of_foreign_texts() {
        let mut headers = Headers::default();
        headers.push("authorization", "Bearer sk-planted").unwrap();
        headers.push("x-short", "on").unwrap();
        let mut keyed = Headers::default();
        keyed.set_key(" sk-planted\n").unwrap();
        assert_eq!(format!("{keyed:?} {headers:?}"), r#"["(the key)"] ["authorization", "x-short"]"#);
        assert!(keyed.set_key("a\nb").is_err());
        for (text, expected) in [
            ("incorrect key: sk-planted!", "incorrect key: (hidden)!"),
            ("you sent Bearer sk-planted", "you sent (hidden)"),
            ("go on", "go on"),
            ("cut off at sk-plan…", "cut off at (hidden)"),
            ("cut off at sk-…", "cut off at sk-…"),
            ("cut off at sk-plan… (a hint)", "cut off at (hidden) (a hint)"),
        ] {
            assert_eq!([&headers, &keyed].map(|headers| headers.redact(text.to_owned())), [expected; 2]);
        }
    }

    #[test]
    fn a_header_that_is_given_stands_in_place_of_the_usual_one() {
        let url = crate::client::ServerUrl::parse("h:1").unwrap();
        let head = |headers: &Headers, api: &str| {
            let sampling = Sampling { api: api.parse().unwrap(), ..Sampling::default() };
            let mut bytes = Vec::new();
            RequestWriter::new(&url, "m", &sampling, headers).write(&Prompt::new("a", 1), 0, "id", &mut bytes);
            String::from_utf8(bytes).unwrap().split_once("\r\n\r\n").unwrap().0.to_owned()
        };
        let mut given = Headers::default();
        given.push("Host", "other").unwrap();
        given.push("anthropic-version", "2099-01-01").unwrap();
        given.set_key("k").unwrap();
        let (usual, replaced) = (head(&Headers::default(), "messages"), head(&given, "messages"));
        assert!(usual.contains("\r\nhost: h:1\r\n") && usual.contains("\r\nanthropic-version: 2023-06-01"), "{usual}");
        assert!(replaced.contains("\r\nHost: other\r\n") && !replaced.contains("host: h:1"), "{replaced}");
        assert!(replaced.contains("2099-01-01") && !replaced.contains("2023-06-01"), "{replaced}");
        assert!(replaced.contains("\r\nx-api-key: k\r\n") && !replaced.contains("Bearer"), "{replaced}");
    }

    #[test]
    fn bodies() {
        let stream = Sampling { stream: true, ..Sampling::default() };
        let (line, body) = sent(&stream);
        assert_eq!(line, "POST /x/v1/chat/completions HTTP/1.1");
        assert_eq!(
            body,
            json!({"model": "m", "messages": [{"role": "user", "content": "Say \"hi\""}], "max_tokens": 16, "temperature": 1.0,
                   "top_p": 1.0, "stream": true, "stream_options": {"include_usage": true}, "ignore_eos": true})
        );
        let extra = json!({"top_p": 0.5, "stream_options": {"x": 1}, "seed": 7}).as_object().unwrap().clone();
        let other = Sampling {
            api: "completions".parse().unwrap(),
            ignore_eos: false,
            max_tokens: Some(9),
            max_tokens_field: "max_completion_tokens".to_owned(),
            extra_body: extra,
            ..stream
        };
        let (line, body) = sent(&other);
        assert_eq!(line, "POST /x/v1/completions HTTP/1.1");
        assert_eq!(
            body,
            json!({"model": "m", "prompt": "Say \"hi\"", "max_completion_tokens": 9, "temperature": 1.0, "top_p": 0.5,
                   "stream": true, "stream_options": {"include_usage": true, "x": 1}, "seed": 7})
        );
    }

    /// The body that LMDeploy's own client sent, captured in fixtures/streams, is what this one sends for the same prompt.
    #[test]
    fn the_lmdeploy_body_is_the_original_clients() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams/lmdeploy-2023-d3e2cee41/seed-chat-stream.json");
        let capture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let original = &capture["request"]["json"];
        let url = crate::client::ServerUrl::parse("h:1").unwrap();
        let sampling = Sampling { api: "lmdeploy".parse().unwrap(), stream: true, ..Sampling::default() };
        let prompt = Prompt::new(original["messages"].as_str().unwrap(), 16);
        let mut bytes = Vec::new();
        RequestWriter::new(&url, "qwen-7b", &sampling, &Headers::default()).write(&prompt, 1, "id", &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        // Text, to compare the order of the fields as well.
        assert_eq!(body.to_string(), original.to_string());
    }
}
