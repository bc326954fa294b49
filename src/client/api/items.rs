//! What items of a stream say in the same way whatever the API: their ends, and what is no JSON.

use super::{json::read, lenient::mend};
use crate::client::{
    answer::{Answer, Event},
    failure::one_line,
};

/// Takes an item of a stream, whose JSON `take` reads where there is some.
pub(super) fn item(
    answer: &mut Answer,
    name: &[u8],
    data: &[u8],
    mut take: impl FnMut(&mut Answer, &[u8]) -> Result<Event, serde_json::Error>,
) -> Result<Event, serde_json::Error> {
    match beside_json(answer, name, data) {
        Some(event) => Ok(event),
        None => read(data, mend, |json| take(answer, json)),
    }
}

/// Takes a whole body, which is the end.
pub(super) fn whole(
    answer: &mut Answer,
    body: &[u8],
    mut take: impl FnMut(&mut Answer, &[u8]) -> Result<Event, serde_json::Error>,
) -> Result<Event, serde_json::Error> {
    let event = read(body, mend, |json| take(answer, json))?;
    answer.done = true;
    Ok(event)
}

/// Takes an item that need not be read as JSON: one whose name says that it is an error, `[DONE]`, or nothing at all.
pub(super) fn beside_json(answer: &mut Answer, name: &[u8], data: &[u8]) -> Option<Event> {
    if names_an_error(name) {
        return Some(answer.take_error(data));
    }
    if data.trim_ascii() == b"[DONE]" {
        answer.done = true;
        return Some(Event { done: true, ..Event::default() });
    }
    // A field without value.
    data.trim_ascii().is_empty().then(Event::default)
}

/// `error`, and what ends so: `response.error`, `internal_error`.
fn names_an_error(name: &[u8]) -> bool {
    name.len() >= 5 && name[name.len() - 5..].eq_ignore_ascii_case(b"error")
}

/// Parts of the names under which servers say that they did not finish an answer: LMDeploy's `error`, vLLM's and SGLang's
/// `abort`, DeepSeek's `insufficient_system_resource`, and what others call the same.
const FAILURES: [&str; 9] =
    ["error", "abort", "cancel", "fail", "timeout", "timed_out", "insufficient", "exception", "interrupt"];

/// Takes why a choice ended, and what was said of it. An empty name, and the words for none of JSON and Python, are none; one that
/// says so is a failure.
pub(super) fn finish(answer: &mut Answer, choice: u32, reason: &str, message: &str, event: &mut Event) {
    let name = reason.trim();
    if name.is_empty() || name.eq_ignore_ascii_case("null") || name.eq_ignore_ascii_case("none") {
        return;
    }
    event.finish = true;
    let lower = name.to_ascii_lowercase();
    if FAILURES.iter().any(|part| lower.contains(part)) {
        event.error = true;
        answer.fail(|| match (one_line(name), one_line(message)) {
            (name, message) if message.is_empty() => {
                format!("the server ended the answer with the finish reason `{name}`")
            }
            (name, message) => format!("{message} (finish reason `{name}`)"),
        });
    }
    answer.finish(choice, reason.to_owned());
}
