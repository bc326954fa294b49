//! `--save-requests`: a JSON line a measured request.

use std::path::PathBuf;

use serde::Serialize;

use super::sink::*;
use crate::{client::TokenSource, files::append};

/// Times are nanoseconds of the machine's monotonic clock; `request_id` went out as the `x-request-id` header.
#[derive(Serialize)]
struct Line<'a> {
    benchmark: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    pass: usize,
    index: usize,
    /// Its place in its conversation, from 0, where any has more than one turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<u32>,
    request_id: String,
    outcome: String,
    intended_ns: Option<u64>,
    sent_ns: Option<u64>,
    headers_ns: Option<u64>,
    first_token_ns: Option<u64>,
    last_token_ns: Option<u64>,
    end_ns: u64,
    prompt_tokens: u32,
    output_tokens: Option<u32>,
    token_source: Option<TokenSource>,
    finish_reason: Option<&'a str>,
    retries: u32,
}

struct Requests(PathBuf);

/// A line a request, as passes end.
pub(super) fn sink(outputs: &Outputs) -> Option<Box<dyn Sink>> {
    Some(Box::new(Requests(outputs.requests.clone()?)))
}

impl Sink for Requests {
    fn pass(&mut self, sent: &PassSent) -> Result<(), SinkError> {
        let PassSent { benchmark, server, number: pass, request_id_prefix, records, .. } = *sent;
        append(&self.0, |_, _| {
            let has_turns = records.iter().any(|record| record.turn > 0);
            let mut lines = Vec::new();
            for record in records {
                let line = Line {
                    benchmark,
                    server,
                    pass,
                    index: record.index,
                    turn: has_turns.then_some(record.turn),
                    request_id: format!("{request_id_prefix}-{}", record.index),
                    outcome: match &record.outcome {
                        Ok(()) => "completed".to_owned(),
                        Err(failure) => failure.class.to_string(),
                    },
                    intended_ns: record.intended_ns,
                    sent_ns: record.sent_ns,
                    headers_ns: record.headers_ns,
                    first_token_ns: record.first_token_ns,
                    last_token_ns: record.last_token_ns,
                    end_ns: record.end_ns,
                    prompt_tokens: record.input_tokens(),
                    output_tokens: record.output.map(|(tokens, _)| tokens),
                    token_source: record.output.map(|(_, source)| source),
                    finish_reason: record.finish_reason.as_deref(),
                    retries: record.retries,
                };
                serde_json::to_writer(&mut lines, &line)?;
                lines.push(b'\n');
            }
            Ok(lines)
        })?;
        Ok(())
    }
}
