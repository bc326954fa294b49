//! One response as it arrives: from stamped bytes to events, and from events to an outcome.

use std::{io, time::Duration};

use super::{
    event::{Answer, Event, error_message},
    failure::{Failure, FailureClass, one_line},
    http1::Head,
    record::{Gap, Record},
    sse::{SseDecoder, SseItem},
};

/// Most bytes of one server-sent event.
const MAX_EVENT: usize = 16 << 20;
/// Most bytes of one response, streamed or not.
const MAX_BODY: usize = 64 << 20;
/// Most bytes of an error response that are looked at.
const MAX_ERROR_BODY: usize = 64 << 10;

/// How reading a response came to its end.
#[derive(Debug)]
pub enum End {
    /// The body is complete by its framing, or `[DONE]` came.
    Complete,
    /// The server closed the connection before that.
    Closed,
    /// The connection failed.
    Broken(io::Error),
    /// A time limit, and how long it was.
    TimedOut(Limit, Duration),
    /// What came is not the protocol.
    Malformed(Failure),
    /// It failed before any answer, for this reason.
    Refused(Failure),
}

/// What a response lacks to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A part of the answer.
    Answer,
    /// The token counts that were asked for; the answer itself is whole.
    Usage,
    /// Only the end of the body.
    End,
}

/// The time limits of a request once it is sent; see [`Timeouts`](super::Timeouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// To the first token.
    FirstToken,
    /// To the next event.
    Stall,
    /// To the end.
    Total,
}

/// How the body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Events,
    Json,
    ErrorBody,
}

/// Reads one response after another; its buffers are kept.
pub struct ResponseReader {
    sse: SseDecoder,
    body: Vec<u8>,
    /// Bytes of the body so far.
    received: usize,
    streaming: bool,
    mode: Mode,
    head: Option<Head>,
    state: State,
}

/// What events change; apart from the decoder, so that both can be borrowed at once.
struct State {
    answer: Answer,
    /// Events with a `choices` list, a usage or an error: the protocol was spoken.
    recognised: u32,
    unrecognised: u32,
    tokens_in_read: u32,
    failure: Option<Failure>,
    last_event_ns: Option<u64>,
}

impl ResponseReader {
    /// For responses that are streamed, or not.
    pub fn new(streaming: bool) -> Self {
        Self {
            sse: SseDecoder::new(MAX_EVENT),
            body: Vec::new(),
            received: 0,
            streaming,
            mode: Mode::Json,
            head: None,
            state: State {
                answer: Answer::default(),
                recognised: 0,
                unrecognised: 0,
                tokens_in_read: 0,
                failure: None,
                last_event_ns: None,
            },
        }
    }

    /// Makes ready for the next response.
    pub fn reset(&mut self) {
        self.sse.reset();
        self.body.clear();
        self.received = 0;
        self.head = None;
        let state = &mut self.state;
        state.answer.clear();
        (state.recognised, state.unrecognised, state.tokens_in_read) = (0, 0, 0);
        (state.failure, state.last_event_ns) = (None, None);
    }

    /// Takes the response's head, and decides how to read what follows.
    ///
    /// # Errors
    /// [`FailureClass::Malformed`] for a body that can't be what was asked for.
    pub fn take_head(&mut self, head: Head) -> Result<(), Failure> {
        let success = (200..300).contains(&head.status);
        let events = head.content_type.starts_with("text/event-stream");
        let json = head.content_type.contains("json");
        self.mode = match (success, self.streaming) {
            (false, _) => Mode::ErrorBody,
            (true, true) if !json => Mode::Events,
            (true, _) => Mode::Json,
        };
        let encoding = head.content_encoding.clone();
        self.head = Some(head);
        if let (true, Some(encoding)) = (success, encoding) {
            let message = format!(
                "the response is {encoding}-encoded, though that was not asked for: turn compression off in what stands before the server"
            );
            return Err(Failure::new(FailureClass::Malformed, message));
        }
        if events && self.mode == Mode::Json {
            return Err(Failure::new(FailureClass::Malformed, "the server streams, though no stream was asked for"));
        }
        Ok(())
    }

    /// Whether a head has come.
    pub fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// Says that what follows came with a new read.
    pub fn begin_read(&mut self) {
        self.state.tokens_in_read = 0;
    }

    /// Takes payload bytes of the body, which were read at that time.
    pub fn take_payload(&mut self, bytes: &[u8], at_ns: u64, record: &mut Record) {
        self.received += bytes.len();
        match self.mode {
            Mode::Events | Mode::Json if self.received > MAX_BODY => {
                self.state.fail(format!("the response is larger than {} MiB", MAX_BODY >> 20));
            }
            Mode::Events => {
                let state = &mut self.state;
                if self.sse.feed(bytes, |item| state.take_item(item, at_ns, record)).is_err() {
                    state.fail(format!("an event is larger than {} MiB", MAX_EVENT >> 20));
                }
            }
            Mode::Json => {
                self.body.extend_from_slice(bytes);
                self.state.last_event_ns = Some(at_ns);
            }
            Mode::ErrorBody => {
                let room = MAX_ERROR_BODY.saturating_sub(self.body.len());
                self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if bytes.len() > room {
                    // Its status says enough.
                    self.state.fail(format!("the error is larger than {} KiB", MAX_ERROR_BODY >> 10));
                }
            }
        }
    }

    /// Whether a stream was asked for.
    pub fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Whether the body is read as a stream of events.
    pub fn reads_events(&self) -> bool {
        self.mode == Mode::Events
    }

    /// When the last event that is no ping arrived.
    pub fn last_event_ns(&self) -> Option<u64> {
        self.state.last_event_ns
    }

    /// Whether token counts have come.
    pub fn has_usage(&self) -> bool {
        self.state.answer.usage.is_some()
    }

    /// What is still to come, where usage was asked for or not. `[DONE]` ends an answer in any case.
    pub fn missing(&self, asks_usage: bool) -> Missing {
        let answer = &self.state.answer;
        match self.mode {
            Mode::Events if answer.done => Missing::End,
            Mode::Events if answer.is_finished() && asks_usage && answer.usage.is_none() => Missing::Usage,
            Mode::Events if answer.is_finished() => Missing::End,
            _ => Missing::Answer,
        }
    }

    /// Takes the failure that a payload has shown, if any.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.state.failure.take()
    }

    /// The generated text so far.
    pub fn text(&self) -> &str {
        &self.state.answer.text
    }

    /// Completes the record: outcome, end, usage, finish reason and, where tokens must still be counted, the text.
    pub fn conclude(&mut self, end: End, now_ns: u64, record: &mut Record) {
        let end = self.take_rest(end, record);
        let success = self.head.as_ref().is_some_and(|head| (200..300).contains(&head.status));
        record.outcome = match self.failure(end, record) {
            Some(failure) => Err(failure),
            None => Ok(()),
        };
        let answer = &mut self.state.answer;
        record.end_ns = match (&record.outcome, self.state.last_event_ns) {
            (Ok(()), Some(at_ns)) => at_ns,
            _ => now_ns,
        };
        if success {
            record.usage = answer.usage;
            record.finish_reason = answer.finish_reason.take().map(|reason| one_line(&reason));
        }
        if record.is_completed() && answer.usage.and_then(|usage| usage.completion_tokens).is_none() {
            record.text = Some(answer.text.clone());
        }
    }

    /// What only the end of the body completes: a last event without its blank line, or a JSON body.
    fn take_rest(&mut self, end: End, record: &mut Record) -> End {
        let complete = matches!(end, End::Complete);
        match self.mode {
            Mode::Events if self.head.is_some() && matches!(end, End::Complete | End::Closed) => {
                let at_ns = self.state.last_event_ns.unwrap_or_default();
                let state = &mut self.state;
                // A cut event is no sign of a broken protocol where the stream itself was cut.
                let before = state.failure.clone();
                _ = self.sse.finish(|item| state.take_item(item, at_ns, record));
                if !complete {
                    state.failure = before;
                }
            }
            Mode::Json if complete && self.head.is_some() => match self.state.answer.take_body(&self.body) {
                Ok(event) => self.state.note(event),
                Err(e) => self.state.fail(format!("the body is not a completion: {e}")),
            },
            _ => {}
        }
        match self.state.failure.take() {
            Some(failure) => End::Malformed(failure),
            None => end,
        }
    }

    fn failure(&self, end: End, record: &Record) -> Option<Failure> {
        let answer = &self.state.answer;
        if let Some(head) = self.head.as_ref().filter(|head| !(200..300).contains(&head.status)) {
            let mut message = error_message(&self.body);
            if let Some(location) = &head.location {
                message = format!("redirect to {}, which is not followed", one_line(location));
            }
            message.push_str(refusal_hint(&message));
            if let Some(time) = &head.retry_after {
                message.push_str(&format!("; the server asks to wait (Retry-After: {})", one_line(time)));
            }
            return Some(Failure::new(FailureClass::Http(head.status), message));
        }
        if let Some(error) = &answer.error {
            return Some(Failure::new(FailureClass::StreamError, format!("{error}{}", refusal_hint(error))));
        }
        let end = match end {
            End::Malformed(failure) | End::Refused(failure) => return Some(failure),
            end => end,
        };
        let is_other = self.head.as_ref().is_some_and(|head| !head.content_type.starts_with("text/event-stream"));
        if self.state.recognised == 0 && (self.state.unrecognised > 0 || is_other) {
            return Some(Failure::new(FailureClass::Malformed, "nothing in the response is a completion's"));
        }
        let counted = answer.usage.and_then(|usage| usage.completion_tokens).unwrap_or_default();
        let has_token = record.token_events > 0 || !answer.text.is_empty() || counted > 0;
        if answer.done || answer.finish_reason.is_some() {
            if self.streaming && self.mode == Mode::Json {
                let message = "a stream was asked for, and one JSON body came";
                return Some(Failure::new(FailureClass::Malformed, message));
            }
            return (!has_token).then(|| Failure::new(FailureClass::Empty, "the response ended without any token"));
        }
        Some(match end {
            End::TimedOut(limit, time) => Failure::new(FailureClass::Timeout, self.timed_out(limit, time, record)),
            End::Broken(e) => Failure::new(FailureClass::Reset, format!("the connection broke: {e}")),
            End::Closed if self.head.is_none() => {
                Failure::new(FailureClass::Reset, "the server closed the connection instead of answering")
            }
            _ => {
                let message = "the stream ended with neither a finish reason nor [DONE]";
                Failure::new(FailureClass::Truncated, message)
            }
        })
    }

    fn timed_out(&self, limit: Limit, time: Duration, record: &Record) -> String {
        let seconds = time.as_secs_f64();
        let events = record.token_events;
        match limit {
            Limit::FirstToken if self.head.is_none() => format!("no answer within {seconds} s (--first-token-timeout)"),
            Limit::FirstToken => format!("no token within {seconds} s (--first-token-timeout)"),
            Limit::Stall => format!("nothing more came for {seconds} s (--stall-timeout), after {events} token events"),
            Limit::Total if events == 0 => format!("no whole answer within {seconds} s (--timeout)"),
            Limit::Total => format!("not ended within {seconds} s (--timeout); {events} token events had come"),
        }
    }
}

impl State {
    fn fail(&mut self, message: String) {
        self.failure.get_or_insert_with(|| Failure::new(FailureClass::Malformed, message));
    }

    fn take_item(&mut self, item: SseItem, at_ns: u64, record: &mut Record) {
        // What follows a broken event counts for nothing, be it in the same read or in a later one.
        if self.failure.is_some() {
            return;
        }
        let event = match item {
            SseItem::Comment => return,
            SseItem::Error(said) => self.answer.take_error(said),
            SseItem::Event { name, data } => match self.answer.take_event(name, data) {
                Ok(event) => event,
                Err(e) => return self.fail(format!("an event is not a completion's: {e}")),
            },
        };
        self.note(event);
        if !event.is_ping() {
            self.last_event_ns = Some(at_ns);
        }
        if event.is_token() {
            self.tokens_in_read += 1;
            record.coalesced_events += u32::from(self.tokens_in_read > 1);
            record.token_events += 1;
            if let Some(last_ns) = record.last_token_ns {
                record.gaps.push(Gap::from_ns(at_ns.saturating_sub(last_ns)));
            }
            record.first_token_ns.get_or_insert(at_ns);
            record.last_token_ns = Some(at_ns);
            if event.content || event.tool_call {
                record.first_answer_ns.get_or_insert(at_ns);
            }
        }
    }

    fn note(&mut self, event: Event) {
        if event.choices || event.usage || event.error {
            self.recognised += 1;
        } else if !event.done {
            self.unrecognised += 1;
        }
    }
}

/// Names the setting that drops a field which the server refuses.
fn refusal_hint(message: &str) -> &'static str {
    // A validation error may repeat the whole request: a field in it with its value is not the culprit.
    let names = |field: &str| message.contains(field) && !message.contains(&format!("\"{field}\":"));
    if names("ignore_eos") {
        " (the field `ignore_eos` is dropped by --ignore-eos false)"
    } else if names("stream_options") {
        " (the field `stream_options` is dropped by --include-usage false)"
    } else if names("max_completion_tokens") {
        " (the field's name is set by --max-tokens-field max_completion_tokens)"
    } else {
        ""
    }
}
