//! What becomes of a response that has come to its end: an answer, or a failure with its class.

use std::{io, time::Duration};

use super::{Mode, ResponseReader};
use crate::client::{
    answer::error_message,
    failure::{Failure, FailureClass, one_line},
    record::Record,
};

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

/// The time limits of a request once it is sent; see [`Timeouts`](crate::client::Timeouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// To the first token.
    FirstToken,
    /// To the next event.
    Stall,
    /// To the end.
    Total,
}

impl ResponseReader {
    /// Why it is no answer; `None` where it is one.
    pub(super) fn failure(&self, end: End, record: &Record) -> Option<Failure> {
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

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{STOP, USAGE, delta, head, read},
        *,
    };
    use crate::client::{
        api::Api,
        http1::{Head, parse_head},
    };

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
        for (end, class, message) in [
            (End::Closed, FailureClass::Truncated, "the server closed the connection before the end of the body"),
            (broken(), FailureClass::Reset, "the connection broke: x"),
            (
                End::TimedOut(Limit::Total, Duration::from_secs(3)),
                FailureClass::Timeout,
                "no complete answer within 3 s (--timeout)",
            ),
        ] {
            let (record, _) = read(false, "application/json", &[body], end);
            assert_eq!(record.outcome.unwrap_err(), Failure::new(class, message));
        }
        let (record, _) = read(true, "text/event-stream", &[&a], End::Closed);
        let cut = Failure::new(FailureClass::Truncated, "the stream ended with neither a finish reason nor [DONE]");
        assert_eq!(record.outcome.unwrap_err(), cut);
        // What comes after a finish reason changes nothing.
        for end in [End::LeftOpen, End::Closed, broken(), End::TimedOut(Limit::Stall, Duration::from_secs(3))] {
            assert_eq!(read(true, "text/event-stream", &[&a, STOP], end).0.outcome, Ok(()));
        }
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
