//! JSON as JavaScript's and Python's clients read it: half of a surrogate pair, the same key twice (the last one counts), bytes
//! that are no UTF-8. Only what strict reading refused comes here, so it may cost what it costs.

use serde_json::Value;

/// What they make of it; `None` where it is no JSON for them either.
pub(super) fn value(json: &[u8]) -> Option<Value> {
    serde_json::from_str(&without_lone_surrogates(&String::from_utf8_lossy(json))).ok()
}

/// The same as strict readers take it.
pub(super) fn mend(json: &[u8]) -> Option<String> {
    value(json).map(|value| value.to_string())
}

/// The text with U+FFFD in place of each escaped half of a surrogate pair that has no other half.
fn without_lone_surrogates(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let taken = match (escaped_unit(escape), escape.get(6..).and_then(escaped_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => {
                mended.push_str(&escape[..12]);
                12
            }
            (Some(0xD800..=0xDFFF), _) => {
                mended.push_str("\\ufffd");
                6
            }
            // An escaped backslash must not be taken for the beginning of the next escape.
            _ => {
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                mended.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[taken..];
    }
    mended + rest
}

/// The UTF-16 code unit of an escape `\uXXXX` at the start of a text.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}
