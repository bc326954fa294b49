//! The bytes of one request, for each API that is spoken.

use std::{fmt, io::Write, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dataset::Prompt;

/// The protocol spoken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `POST /v1/chat/completions`, as OpenAI defines it; today's LMDeploy too.
    Chat,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/chat/completions` with the body that LMDeploy's client of November 2023 sends.
    Lmdeploy,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Lmdeploy => "lmdeploy",
        })
    }
}

impl FromStr for Api {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "chat" => Ok(Self::Chat),
            "completions" => Ok(Self::Completions),
            "lmdeploy" => Ok(Self::Lmdeploy),
            _ => Err(format!("`{s}` is not an API: use chat, completions or lmdeploy")),
        }
    }
}

impl Api {
    /// The path that requests are posted to.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat | Self::Lmdeploy => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
        }
    }
}

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
            api: Api::Chat,
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
        self.max_tokens.unwrap_or(prompt.output_tokens)
    }
}

/// Header names and values to send; values are secrets, and never shown.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, String)>);

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
        if value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7F) {
            return Err(format!("the value of the header `{name}` holds control characters"));
        }
        self.0.push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A value shorter than this is no secret, and may stand anywhere by chance.
const SHORTEST_SECRET: usize = 4;

impl Headers {
    /// A foreign text without these values, nor what follows their first word (`Bearer …`, `Token …`): servers like to repeat
    /// them ("incorrect key: …"). Where a text was cut in the middle of one, its beginning is hidden too.
    pub(super) fn redact(&self, text: String) -> String {
        let secrets = self.0.iter().flat_map(|(_, value)| {
            let after_scheme = value.split_once(' ').map(|(_, rest)| rest.trim());
            [Some(value.as_str()), after_scheme]
        });
        secrets.flatten().filter(|secret| secret.len() >= SHORTEST_SECRET).fold(text, |text, secret| {
            let text = text.replace(secret, HIDDEN);
            let cut = |&n: &usize| secret.is_char_boundary(n) && text.contains(&format!("{}…", &secret[..n]));
            match (SHORTEST_SECRET..secret.len()).rev().find(cut) {
                Some(n) => text.replace(&format!("{}…", &secret[..n]), HIDDEN),
                None => text,
            }
        })
    }
}

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
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
        let mut head = format!(
            "POST {}{} HTTP/1.1\r\nhost: {}\r\nuser-agent: tachometer/{}\r\ncontent-type: application/json\r\naccept: {}\r\n",
            url.prefix,
            sampling.api.path(),
            url.authority(),
            env!("CARGO_PKG_VERSION"),
            if sampling.stream { "text/event-stream" } else { "application/json" },
        );
        for (name, value) in headers.iter() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self {
            headers: headers.clone(),
            head: head.into_bytes(),
            body: body(model, sampling),
            sampling: sampling.clone(),
        }
    }

    /// Whether streams are asked to report token counts.
    pub(super) fn asks_usage(&self) -> bool {
        self.body.get("stream_options").is_some_and(|options| options["include_usage"] == json!(true))
    }

    /// A foreign text without the values of the headers that are sent.
    pub(super) fn redact(&self, text: String) -> String {
        self.headers.redact(text)
    }

    /// Replaces what `into` holds by the whole request. `client` is the number of the sending client, from 0.
    pub fn write(&self, prompt: &Prompt, client: usize, request_id: &str, into: &mut Vec<u8>) {
        let mut body = self.body.clone();
        let text = Value::String(prompt.text.clone());
        match self.sampling.api {
            Api::Chat => body.insert("messages".to_owned(), json!([{"role": "user", "content": text}])),
            Api::Completions => body.insert("prompt".to_owned(), text),
            Api::Lmdeploy => {
                body.insert("session_id".to_owned(), json!(client));
                body.insert("messages".to_owned(), text)
            }
        };
        body.insert(self.sampling.max_tokens_field.clone(), json!(self.sampling.requested_tokens(prompt)));
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

/// The fields that do not change from prompt to prompt; those that do hold their place.
fn body(model: &str, sampling: &Sampling) -> Map<String, Value> {
    let Sampling { stream, ignore_eos, temperature, top_p, max_tokens_field, .. } = sampling;
    let fields = match sampling.api {
        // Field for field what `APIClient.chat_completions_v1` of LMDeploy d3e2cee41 puts into its body.
        Api::Lmdeploy => json!({
            "model": model, "messages": null, "temperature": temperature, "top_p": top_p, "n": 1, max_tokens_field: null,
            "stop": false, "stream": stream, "presence_penalty": 0.0, "frequency_penalty": 0.0, "user": null,
            "repetition_penalty": 1.0, "session_id": null, "ignore_eos": ignore_eos, "kwargs": {},
        }),
        Api::Chat | Api::Completions => {
            let prompt = if sampling.api == Api::Chat { "messages" } else { "prompt" };
            let mut fields = json!({
                "model": model, prompt: null, max_tokens_field: null, "temperature": temperature, "top_p": top_p,
                "stream": stream,
            });
            if *stream && sampling.include_usage {
                fields["stream_options"] = json!({"include_usage": true});
            }
            if *ignore_eos {
                fields["ignore_eos"] = json!(true);
            }
            fields
        }
    };
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
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
    use super::*;

    fn sent(sampling: &Sampling) -> (String, Value) {
        let url = crate::client::ServerUrl::parse("h:1/x").unwrap();
        let mut headers = Headers::default();
        headers.push("Authorization", "Bearer k").unwrap();
        let prompt = Prompt { index: 4, text: "Say \"hi\"".to_owned(), prompt_tokens: 3, output_tokens: 16 };
        let mut bytes = b"rest of the last one".to_vec();
        RequestWriter::new(&url, "m", sampling, &headers).write(&prompt, 3, "id-4", &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("x-request-id: id-4") && head.contains("Authorization: Bearer k"), "{head}");
        (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn values_are_taken_out_of_foreign_texts() {
        let mut headers = Headers::default();
        headers.push("authorization", "Bearer sk-planted").unwrap();
        headers.push("x-short", "on").unwrap();
        for (text, expected) in [
            ("incorrect key: sk-planted!", "incorrect key: (hidden)!"),
            ("you sent Bearer sk-planted", "you sent (hidden)"),
            ("go on", "go on"),
            ("cut off at sk-plan…", "cut off at (hidden)"),
            ("cut off at sk-…", "cut off at sk-…"),
            ("cut off at sk-plan… (a hint)", "cut off at (hidden) (a hint)"),
        ] {
            assert_eq!(headers.redact(text.to_owned()), expected);
        }
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
            api: Api::Completions,
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
        let sampling = Sampling { api: Api::Lmdeploy, stream: true, ..Sampling::default() };
        let prompt = Prompt {
            index: 0,
            text: original["messages"].as_str().unwrap().to_owned(),
            prompt_tokens: 9,
            output_tokens: 16,
        };
        let mut bytes = Vec::new();
        RequestWriter::new(&url, "qwen-7b", &sampling, &Headers::default()).write(&prompt, 1, "id", &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        // Text, to compare the order of the fields as well.
        assert_eq!(body.to_string(), original.to_string());
    }
}
