//! One response as it arrives: from stamped bytes to events, and from events to an outcome.

mod outcome;

use std::time::Duration;

pub(super) use outcome::{End, Limit};

use super::{
    answer::{Answer, Event},
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
pub(super) mod tests {
    use super::*;
    use crate::client::{Usage, http1::parse_head};

    fn event(choice: &str) -> String {
        format!("data: {{\"choices\":[{choice}]}}\n\n")
    }

    pub fn delta(delta: &str) -> String {
        event(&format!("{{\"delta\":{{{delta}}}}}"))
    }

    pub const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    pub const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";

    pub fn head(content_type: &str) -> Head {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n");
        parse_head(text.as_bytes()).unwrap().unwrap().0
    }

    /// Reads pieces that arrive at 10, 20, … ns, and an end at 1000.
    pub fn read(streaming: bool, content_type: &str, pieces: &[&str], end: End) -> (Record, ResponseReader) {
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
}
