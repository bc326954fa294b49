//! Bodies that list what was asked for, and give no tokens: vectors, or scores.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    items::whole,
    json::{Count, Object, Size, Text, fails},
};
use crate::client::answer::{Answer, Event, Usage};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(default)]
    data: Size,
    #[serde(default)]
    results: Size,
    #[serde(default)]
    usage: Object<RawUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
}

/// What such a list is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Data,
    Results,
}

/// Takes a body with that list, which must hold something.
///
/// # Errors
/// Where it is not JSON.
pub(super) fn take(list: List, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
    whole(answer, body, |answer, json| {
        let body: Body = serde_json::from_slice(json)?;
        let size = if list == List::Data { body.data } else { body.results };
        let mut event = Event { known: size.0.is_some_and(|size| size > 0), ..Event::default() };
        event.error = fails(answer, body.error, body.object.is("error"), json);
        event.usage = body.usage.0.is_some_and(|usage| {
            let prompt_tokens = usage.prompt_tokens.0.or(usage.total_tokens.0);
            answer.add_usage(Usage { prompt_tokens, ..Usage::default() })
        });
        Ok(event)
    })
}
