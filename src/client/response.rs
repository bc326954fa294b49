//! One response as it arrives: from stamped bytes to events, and from events to an outcome.

use std::{io, time::Duration};

use super::{
    answer::{Answer, Event, error_message},
    api::Api,
    decoder::{Decoder, MAX_EVENT},
    failure::{Failure, FailureClass, one_line},
    http1::Head,
    record::{Gap, Record},
    sse::SseItem,
};

/// Most bytes of one response, streamed or not.
const MAX_BODY: usize = 64 << 20;
/// Most bytes of an error response that are looked at.
const MAX_ERROR_BODY: usize = 64 << 10;

/// How reading a response came to its end.
#[derive(Debug)]
pub enum End {
    /// The body is complete by its framing, or `[DONE]` came.
    Complete,
    /// The answer is whole, and the server has left the body open: what has come of a next event is none.
    LeftOpen,
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

/// An event of an answer, as it arrives.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Arrived<'a> {
    /// Since the request was sent.
    pub at: Duration,
    /// The text that it brought: content, reasoning or tool-call arguments.
    pub text: &'a str,
    /// What it carries.
    pub event: Event,
}

/// Hears of each event.
pub(super) type Hear<'a> = &'a mut (dyn FnMut(Arrived<'_>) + Send);

/// How the body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Events,
    Json,
    ErrorBody,
}

/// Reads one response after another; its buffers are kept.
pub struct ResponseReader {
    decoder: Decoder,
    body: Vec<u8>,
    /// Bytes of the body so far.
    received: usize,
    api: Api,
    streaming: bool,
    mode: Mode,
    head: Option<Head>,
    state: State,
}

/// What events change; apart from the decoder, so that both can be borrowed at once.
struct State {
    answer: Answer,
    /// Events of the API's own, with a usage or an error: the protocol was spoken.
    recognised: u32,
    unrecognised: u32,
    tokens_in_read: u32,
    failure: Option<Failure>,
    last_event_ns: Option<u64>,
}

impl ResponseReader {
    /// For responses of an API that are streamed, or not.
    pub fn new(api: Api, streaming: bool) -> Self {
        Self {
            api,
            decoder: Decoder::new(api.dialect().framing()),
            body: Vec::new(),
            received: 0,
            // What gives no tokens is not streamed, whatever was asked for.
            streaming: streaming && api.generates(),
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
        self.decoder.reset();
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
        let events = head.content_type.starts_with(self.api.dialect().framing().media_type());
        let json = head.content_type.contains("json") && !events;
        self.mode = match (success, self.streaming) {
            (false, _) => Mode::ErrorBody,
            (true, true) if !json => Mode::Events,
            (true, _) => Mode::Json,
        };
        let encoding = head.content_encoding.clone();
        self.head = Some(head);
        if let (true, Some(encoding)) = (success, encoding) {
            let message = format!(
                "the response is {encoding}-encoded, which was not requested: turn off compression in the server \
                 or in the proxy in front of it"
            );
            return Err(Failure::new(FailureClass::Malformed, message));
        }
        if events && !self.streaming && success {
            return Err(Failure::new(FailureClass::Malformed, "the server streamed, although no stream was requested"));
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
    pub fn take_payload(&mut self, bytes: &[u8], at_ns: u64, record: &mut Record, hear: Hear<'_>) {
        self.received += bytes.len();
        let api = self.api;
        match self.mode {
            Mode::Events | Mode::Json if self.received > MAX_BODY => {
                self.state.fail(format!("the response is larger than {} MiB", MAX_BODY >> 20));
            }
            Mode::Events => {
                let state = &mut self.state;
                if self.decoder.feed(bytes, |item| state.take_item(api, item, at_ns, record, hear)).is_err() {
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

    /// Whether `[DONE]` has come.
    pub fn is_done(&self) -> bool {
        self.state.answer.done
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
    pub fn conclude(&mut self, end: End, now_ns: u64, record: &mut Record, hear: Hear<'_>) {
        let end = self.take_rest(end, record, hear);
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
        if record.is_completed()
            && self.api.generates()
            && answer.usage.and_then(|usage| usage.completion_tokens).is_none()
        {
            record.text = Some(answer.text.clone());
        }
    }

    /// What only the end of the body completes: a last event without its blank line, or a JSON body.
    fn take_rest(&mut self, end: End, record: &mut Record, hear: Hear<'_>) -> End {
        let complete = matches!(end, End::Complete);
        match self.mode {
            Mode::Events if self.head.is_some() && matches!(end, End::Complete | End::Closed) => {
                let (api, at_ns) = (self.api, self.state.last_event_ns.unwrap_or_default());
                let state = &mut self.state;
                // A cut event is no sign of a broken protocol where the stream itself was cut.
                let before = state.failure.clone();
                self.decoder.finish(|item| state.take_item(api, item, at_ns, record, hear));
                if !complete {
                    state.failure = before;
                }
            }
            Mode::Json if complete && self.head.is_some() => {
                match self.api.take_body(&mut self.state.answer, &self.body) {
                    Ok(event) => {
                        self.state.note(event);
                        let at_ns = self.state.last_event_ns.unwrap_or_default();
                        self.state.tell(event, 0, at_ns, record, hear);
                    }
                    Err(e) if e.is_eof() && !self.body.is_empty() => {
                        return End::Malformed(Failure::new(
                            FailureClass::Truncated,
                            "the body ends in the middle of its JSON",
                        ));
                    }
                    Err(e) => self.state.fail(format!("the body is not a completion: {e}")),
                }
            }
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
            message.push_str(self.api.dialect().hint(&message));
            if let Some(time) = &head.retry_after {
                message.push_str(&format!("; the server asks to wait (Retry-After: {})", one_line(time)));
            }
            return Some(Failure::new(FailureClass::Http(head.status), message));
        }
        if let Some(error) = &answer.error {
            return Some(Failure::new(FailureClass::StreamError, format!("{error}{}", self.api.dialect().hint(error))));
        }
        let end = match end {
            End::Malformed(failure) | End::Refused(failure) => return Some(failure),
            end => end,
        };
        let media_type = self.api.dialect().framing().media_type();
        let is_other = self.head.as_ref().is_some_and(|head| !head.content_type.starts_with(media_type));
        // What was cut may have had its completion still to come, and of a body nothing is looked at before its end.
        let is_cut = match end {
            End::TimedOut(..) | End::Broken(_) => true,
            End::Closed => self.mode == Mode::Json,
            _ => false,
        };
        if self.state.recognised == 0 && (self.state.unrecognised > 0 || is_other && !is_cut) {
            return Some(Failure::new(FailureClass::Malformed, "the response contains no part of a completion"));
        }
        let counted = answer.usage.and_then(|usage| usage.completion_tokens).unwrap_or_default();
        let has_token = !answer.text.is_empty() || counted > 0 || !self.api.generates();
        if answer.done || answer.finish_reason.is_some() {
            if self.streaming && self.mode == Mode::Json {
                let message = "a stream was requested, but the response is a single JSON body";
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
            End::Closed if is_cut => {
                Failure::new(FailureClass::Truncated, "the server closed the connection before the end of the body")
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
            Limit::Stall => format!("nothing arrived for {seconds} s (--stall-timeout), after {events} token events"),
            Limit::Total if events == 0 => format!("no complete answer within {seconds} s (--timeout)"),
            Limit::Total => format!("not finished within {seconds} s (--timeout), after {events} token events"),
        }
    }
}

impl State {
    fn fail(&mut self, message: String) {
        self.failure.get_or_insert_with(|| Failure::new(FailureClass::Malformed, message));
    }

    fn take_item(&mut self, api: Api, item: SseItem, at_ns: u64, record: &mut Record, hear: Hear<'_>) {
        // What follows a broken event counts for nothing, be it in the same read or in a later one.
        if self.failure.is_some() {
            return;
        }
        let had = self.answer.text.len();
        let event = match item {
            SseItem::Comment => return,
            SseItem::Error(said) => self.answer.take_error(said),
            SseItem::Event { name, data } => match api.take_item(&mut self.answer, name, data) {
                Ok(event) => event,
                Err(e) => return self.fail(format!("an event is not part of a completion: {e}")),
            },
        };
        self.note(event);
        if !event.is_ping() {
            self.last_event_ns = Some(at_ns);
            self.tell(event, had, at_ns, record, hear);
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

    /// Tells of an event that has brought the text from `had` on.
    fn tell(&self, event: Event, had: usize, at_ns: u64, record: &Record, hear: Hear<'_>) {
        let at = Duration::from_nanos(at_ns.saturating_sub(record.sent_ns.unwrap_or(at_ns)));
        hear(Arrived { at, text: &self.answer.text[had..], event });
    }

    fn note(&mut self, event: Event) {
        if event.known || event.usage || event.error {
            self.recognised += 1;
        } else if !event.done {
            self.unrecognised += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Usage, http1::parse_head};

    fn event(choice: &str) -> String {
        format!("data: {{\"choices\":[{choice}]}}\n\n")
    }

    fn delta(delta: &str) -> String {
        event(&format!("{{\"delta\":{{{delta}}}}}"))
    }

    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";

    fn head(content_type: &str) -> Head {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n");
        parse_head(text.as_bytes()).unwrap().unwrap().0
    }

    /// Reads pieces that arrive at 10, 20, … ns, and an end at 1000.
    fn read(streaming: bool, content_type: &str, pieces: &[&str], end: End) -> (Record, ResponseReader) {
        let mut reader = ResponseReader::new(Api::default(), streaming);
        let mut record = Record::new(0, 1, 1);
        record.sent_ns = Some(1);
        reader.take_head(head(content_type)).unwrap();
        for (i, piece) in pieces.iter().enumerate() {
            reader.begin_read();
            reader.take_payload(piece.as_bytes(), 10 * (i as u64 + 1), &mut record, &mut |_| ());
        }
        reader.conclude(end, 1000, &mut record, &mut |_| ());
        (record, reader)
    }

    fn stream(pieces: &[&str]) -> Record {
        read(true, "text/event-stream", pieces, End::Complete).0
    }

    #[test]
    fn each_event_has_the_time_of_its_read() {
        let (role, think) = (delta("\"role\":\"assistant\",\"content\":\"\""), delta("\"reasoning\":\"hm\""));
        let (a, b) = (delta("\"content\":\" a\""), delta("\"content\":\" b\""));
        let two = format!("{a}{b}");
        let record = stream(&[&role, &think, &a, ": ping\n\n", &two, &b, STOP, USAGE, ": ping\n\n", "data: null\n\n"]);
        assert_eq!(record.outcome, Ok(()));
        assert_eq!((record.first_token_ns, record.first_answer_ns), (Some(20), Some(30)));
        assert_eq!((record.last_token_ns, record.end_ns), (Some(60), 80));
        let gaps: Vec<Gap> = [10, 20, 0, 10].map(Gap::from_ns).to_vec();
        assert_eq!((record.gaps, record.token_events, record.coalesced_events), (gaps, 5, 1));
        let usage = Usage { prompt_tokens: Some(3), completion_tokens: Some(2), cached_tokens: None };
        assert_eq!((record.usage, record.finish_reason.as_deref(), record.text), (Some(usage), Some("stop"), None));
        // A call's arguments are an answer too.
        let call = delta("\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]");
        let record = stream(&[&think, &call, STOP]);
        assert_eq!((record.first_token_ns, record.first_answer_ns, record.end_ns), (Some(10), Some(20), 30));
        // Without usage the text is kept, to be counted.
        assert_eq!(record.text.as_deref(), Some("hm{}"));
        // [DONE] is an event.
        assert_eq!(stream(&[&a, STOP, "data: [DONE]\n\n"]).end_ns, 30);
        // A whole body ends with its last read.
        let body = "{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}";
        let (record, _) = read(false, "application/json", &[&body[..20], &body[20..]], End::Complete);
        assert_eq!((record.outcome, record.end_ns, record.first_token_ns, record.token_events), (Ok(()), 20, None, 0));
        assert_eq!(record.text.as_deref(), Some("A"));
    }

    #[test]
    fn a_failed_request_ends_when_that_is_known_and_keeps_no_counts() {
        let a = delta("\"content\":\" a\"");
        let (record, _) = read(true, "text/event-stream", &[&a, USAGE], End::Closed);
        assert_eq!(record.outcome.unwrap_err().class, FailureClass::Truncated);
        assert_eq!((record.end_ns, record.text), (1000, None));
        let broken = || End::Broken(io::Error::other("x"));
        for (end, class) in [
            (End::Closed, FailureClass::Truncated),
            (End::Complete, FailureClass::Truncated),
            (broken(), FailureClass::Reset),
            (End::TimedOut(Limit::Stall, Duration::from_secs(3)), FailureClass::Timeout),
            (End::Malformed(Failure::new(FailureClass::Malformed, "")), FailureClass::Malformed),
            (End::Refused(Failure::new(FailureClass::Reset, "")), FailureClass::Reset),
        ] {
            let (record, _) = read(true, "text/event-stream", &[&a], end);
            assert_eq!(record.outcome.unwrap_err().class, class);
        }
        // What has come of an event after a whole answer is none, unless that was the end of the body.
        let cut = "data: {\"cho";
        assert_eq!(read(true, "text/event-stream", &[&a, STOP, cut], End::LeftOpen).0.outcome, Ok(()));
        let (record, _) = read(true, "text/event-stream", &[&a, STOP, cut], End::Complete);
        assert_eq!(record.outcome.unwrap_err().class, FailureClass::Malformed);
        // A last event without its blank line ends with the stream, and is cut where the connection breaks.
        let unended = STOP.trim_end();
        for end in [End::Closed, End::Complete] {
            assert_eq!(read(true, "text/event-stream", &[&a, unended, "\n"], end).0.outcome, Ok(()));
        }
        let (record, _) = read(true, "text/event-stream", &[&a, unended, "\n"], broken());
        assert_eq!(record.outcome.unwrap_err().class, FailureClass::Reset);
        // Whatever is said to come.
        let (record, _) = read(true, "text/plain", &[], broken());
        assert_eq!(record.outcome.unwrap_err().class, FailureClass::Reset);
        let (record, _) = read(true, "text/plain", &[], End::Closed);
        assert_eq!(record.outcome.unwrap_err().class, FailureClass::Malformed);
        // A body may look whole, and is not, before its end.
        let body = "{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}";
        for (end, class) in [
            (End::Closed, FailureClass::Truncated),
            (broken(), FailureClass::Reset),
            (End::TimedOut(Limit::Total, Duration::from_secs(3)), FailureClass::Timeout),
        ] {
            let (record, _) = read(false, "application/json", &[body], end);
            assert_eq!(record.outcome.unwrap_err().class, class);
        }
        // What comes after a finish reason changes nothing.
        for end in [End::LeftOpen, End::Closed, broken(), End::TimedOut(Limit::Stall, Duration::from_secs(3))] {
            assert_eq!(read(true, "text/event-stream", &[&a, STOP], end).0.outcome, Ok(()));
        }
    }

    #[test]
    fn listeners_hear_of_each_event_when_it_comes() {
        let heard = |streaming, content_type, pieces: &[&str]| {
            let mut reader = ResponseReader::new(Api::default(), streaming);
            let mut record = Record::new(0, 1, 1);
            record.sent_ns = Some(4);
            reader.take_head(head(content_type)).unwrap();
            let mut heard = Vec::new();
            let mut hear = |arrived: Arrived<'_>| heard.push((arrived.at.as_nanos(), arrived.text.to_owned()));
            for (i, piece) in pieces.iter().enumerate() {
                reader.take_payload(piece.as_bytes(), 10 * (i as u64 + 1), &mut record, &mut hear);
            }
            reader.conclude(End::Complete, 1000, &mut record, &mut hear);
            heard.into_iter().map(|(at, text)| format!("{at} {text}")).collect::<Vec<_>>()
        };
        let (a, b) = (delta("\"content\":\"a\""), delta("\"content\":\"b\""));
        let two = format!("{a}{b}");
        let stream = heard(true, "text/event-stream", &[&a, ": ping\n\n", &two, STOP, "data: [DONE]\n\n"]);
        assert_eq!(stream, ["6 a", "26 a", "26 b", "36 ", "46 "]);
        let body = "{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}";
        assert_eq!(heard(false, "application/json", &[&body[..20], &body[20..]]), ["16 A"]);
    }

    #[test]
    fn what_ends_before_its_head_is_no_answer() {
        let outcome = |streaming, end| {
            let mut reader = ResponseReader::new(Api::default(), streaming);
            // As after an answer before it, which was streamed.
            reader.mode = if streaming { Mode::Events } else { Mode::Json };
            let mut record = Record::new(0, 1, 1);
            assert!(!reader.has_head());
            reader.conclude(end, 1000, &mut record, &mut |_| ());
            let failure = record.outcome.unwrap_err();
            (failure.class, failure.message)
        };
        let closed = (FailureClass::Reset, "the server closed the connection instead of answering".to_owned());
        assert_eq!([true, false].map(|streaming| outcome(streaming, End::Closed)), [closed.clone(), closed]);
        let broken = (FailureClass::Reset, "the connection broke: x".to_owned());
        assert_eq!(outcome(true, End::Broken(io::Error::other("x"))), broken);
    }

    #[test]
    fn time_limits_are_worded_by_what_had_come() {
        let said = |limit, pieces: &[&str], has_head: bool| {
            let mut reader = ResponseReader::new(Api::default(), true);
            let mut record = Record::new(0, 1, 1);
            if has_head {
                reader.take_head(head("text/event-stream")).unwrap();
            }
            pieces.iter().for_each(|piece| reader.take_payload(piece.as_bytes(), 1, &mut record, &mut |_| ()));
            reader.conclude(End::TimedOut(limit, Duration::from_millis(1500)), 1000, &mut record, &mut |_| ());
            record.outcome.unwrap_err().message
        };
        let a = delta("\"content\":\" a\"");
        assert_eq!(said(Limit::FirstToken, &[], false), "no answer within 1.5 s (--first-token-timeout)");
        assert_eq!(said(Limit::FirstToken, &[], true), "no token within 1.5 s (--first-token-timeout)");
        let stalled = "nothing arrived for 1.5 s (--stall-timeout), after 2 token events";
        assert_eq!(said(Limit::Stall, &[&a, &a], true), stalled);
        assert_eq!(said(Limit::Total, &[], true), "no complete answer within 1.5 s (--timeout)");
        assert_eq!(said(Limit::Total, &[&a], true), "not finished within 1.5 s (--timeout), after 1 token events");
    }

    #[test]
    fn what_is_still_missing() {
        let missing = |streaming, pieces: &[&str], asks_usage| {
            let mut reader = ResponseReader::new(Api::default(), streaming);
            let mut record = Record::new(0, 1, 1);
            reader.take_head(head(if streaming { "text/event-stream" } else { "application/json" })).unwrap();
            pieces.iter().for_each(|piece| reader.take_payload(piece.as_bytes(), 7, &mut record, &mut |_| ()));
            assert_eq!(
                (reader.has_usage(), reader.is_done()),
                (pieces.contains(&USAGE), pieces.contains(&"data: [DONE]\n\n"))
            );
            assert_eq!(reader.last_event_ns(), (!pieces.is_empty()).then_some(7));
            assert_eq!((reader.is_streaming(), reader.reads_events(), reader.has_head()), (streaming, streaming, true));
            reader.missing(asks_usage)
        };
        let a = delta("\"content\":\" a\"");
        let done = "data: [DONE]\n\n";
        for (pieces, with, without) in [
            (&[][..], Missing::Answer, Missing::Answer),
            (&[&*a], Missing::Answer, Missing::Answer),
            (&[&*a, USAGE], Missing::Answer, Missing::Answer),
            (&[&*a, STOP], Missing::Usage, Missing::End),
            (&[&*a, STOP, USAGE], Missing::End, Missing::End),
            (&[&*a, done], Missing::End, Missing::End),
        ] {
            assert_eq!((missing(true, pieces, true), missing(true, pieces, false)), (with, without), "{pieces:?}");
        }
        assert_eq!(missing(false, &["{}"], true), Missing::Answer);
    }

    #[test]
    fn bounds() {
        let read = |streaming, content_type: &str, piece: &str, times: usize| {
            let mut reader = ResponseReader::new(Api::default(), streaming);
            let mut record = Record::new(0, 1, 1);
            reader.take_head(head(content_type)).unwrap();
            (0..times).for_each(|_| reader.take_payload(piece.as_bytes(), 1, &mut record, &mut |_| ()));
            (reader.take_failure().map(|failure| failure.message), reader.body.len())
        };
        let ping = format!(": {}\n\n", ".".repeat((1 << 20) - 4));
        assert_eq!(read(true, "text/event-stream", &ping, 64).0, None);
        assert_eq!(read(true, "text/event-stream", &ping, 65).0.as_deref(), Some("the response is larger than 64 MiB"));
        let line = format!("data: {}\n", ".".repeat((1 << 20) - 1));
        assert_eq!(read(true, "text/event-stream", &line, 16).0, None);
        assert_eq!(read(true, "text/event-stream", &line, 17).0.as_deref(), Some("an event is larger than 16 MiB"));
        assert_eq!(read(false, "application/json", &ping, 64), (None, 64 << 20));
        assert_eq!(read(false, "application/json", &ping, 65).0.as_deref(), Some("the response is larger than 64 MiB"));
        // Of an error no more is looked at than its beginning.
        let mut reader = ResponseReader::new(Api::default(), true);
        let mut record = Record::new(0, 1, 1);
        let (refused, _) = parse_head(b"HTTP/1.1 500 No\r\n\r\n").unwrap().unwrap();
        reader.take_head(refused).unwrap();
        reader.take_payload(&[b'a'; 40 << 10], 1, &mut record, &mut |_| ());
        assert_eq!((reader.take_failure(), reader.body.len()), (None, 40 << 10));
        reader.take_payload(&[b'a'; 24 << 10], 1, &mut record, &mut |_| ());
        assert_eq!((reader.take_failure(), reader.body.len()), (None, 64 << 10));
        reader.take_payload(b"a", 1, &mut record, &mut |_| ());
        assert_eq!(reader.take_failure().unwrap().message, "the error is larger than 64 KiB");
        assert_eq!(reader.body.len(), 64 << 10);
    }

    #[test]
    fn statuses_and_types() {
        let of = |status: u16, content_type: &str, more: &str| {
            let text = format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n{more}\r\n");
            parse_head(text.as_bytes()).unwrap().unwrap().0
        };
        let outcome = |streaming, head: Head, body: &str| {
            let mut reader = ResponseReader::new(Api::default(), streaming);
            let mut record = Record::new(0, 1, 1);
            match reader.take_head(head) {
                Ok(()) => {
                    reader.take_payload(body.as_bytes(), 1, &mut record, &mut |_| ());
                    reader.conclude(End::Complete, 2, &mut record, &mut |_| ());
                    record.outcome.map_err(|failure| (failure.class.to_string(), failure.message))
                }
                Err(failure) => Err((failure.class.to_string(), failure.message)),
            }
        };
        let failed = |class: &str, message: &str| Err((class.to_owned(), message.to_owned()));
        let body = "{\"choices\":[{\"message\":{\"content\":\"A\"},\"finish_reason\":\"stop\"}]}";
        let json = "application/json";
        assert_eq!(outcome(false, of(200, json, ""), body), Ok(()));
        assert_eq!(outcome(false, of(299, json, ""), body), Ok(()));
        assert_eq!(outcome(false, of(300, json, ""), "no"), failed("http_300", "no"));
        assert_eq!(outcome(false, of(404, json, ""), "no"), failed("http_404", "no"));
        let retry = failed("http_429", "no; the server asks to wait (Retry-After: 7)");
        assert_eq!(outcome(true, of(429, json, "retry-after: 7\r\n"), "no"), retry);
        let redirect = failed("http_307", "redirect to /x, which is not followed");
        assert_eq!(outcome(true, of(307, json, "location: /x\r\n"), "no"), redirect);
        let one_body = failed("malformed", "a stream was requested, but the response is a single JSON body");
        assert_eq!(outcome(true, of(200, json, ""), body), one_body);
        let streamed = failed("malformed", "the server streamed, although no stream was requested");
        assert_eq!(outcome(false, of(200, "text/event-stream", ""), STOP), streamed);
        let half = failed("truncated", "the body ends in the middle of its JSON");
        assert_eq!(outcome(false, of(200, json, ""), &body[..20]), half);
        let nothing = "the body is not a completion: EOF while parsing a value at line 1 column 0";
        assert_eq!(outcome(false, of(200, json, ""), ""), failed("malformed", nothing));
        let foreign = failed("malformed", "the response contains no part of a completion");
        assert_eq!(outcome(false, of(200, json, ""), "{}"), foreign);
        assert_eq!(outcome(true, of(200, "text/html", ""), ""), foreign);
        assert_eq!(outcome(true, of(200, "text/event-stream", ""), "data: {\"x\":1}\n\n"), foreign);
        let nothing = failed("truncated", "the stream ended with neither a finish reason nor [DONE]");
        assert_eq!(outcome(true, of(200, "text/event-stream", ""), ""), nothing);
        let empty = failed("empty", "the response ended without any token");
        assert_eq!(outcome(true, of(200, "text/event-stream", ""), STOP), empty);
        // By the server's count alone: a token may have no text.
        assert_eq!(outcome(true, of(200, "text/event-stream", ""), &format!("{STOP}{USAGE}")), Ok(()));
        let gzip = outcome(true, of(200, json, "content-encoding: gzip\r\n"), "");
        assert!(gzip.is_err_and(|(class, message)| class == "malformed" && message.contains("gzip-encoded")));
        // An error may be encoded as it likes.
        assert!(
            outcome(true, of(500, json, "content-encoding: gzip\r\n"), "x")
                .is_err_and(|(class, _)| class == "http_500")
        );
        let said = failed("stream_error", "no ignore_eos (use --ignore-eos false to leave out the field `ignore_eos`)");
        assert_eq!(outcome(false, of(200, json, ""), "{\"error\":\"no ignore_eos\"}"), said);
    }
}
