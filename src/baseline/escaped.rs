//! Files as they may be shown, wherever they come from.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::text::{is_hidden, visible};

/// Reads JSON that may come from anywhere, with every text in it as [`visible`] makes it.
///
/// # Errors
/// As `serde_json::from_str`.
pub(super) fn from_json<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
    // Few have an escape at all.
    if !may_hide(json) {
        return serde_json::from_str(json);
    }
    let mut value: Value = serde_json::from_str(json)?;
    visible_json(&mut value);
    // By text once more: a value's numbers are read by other rules than a text's.
    serde_json::from_str(&value.to_string())
}

/// The same for every text in a JSON value.
fn visible_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shown) = visible(text) {
                *text = shown;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(visible_json),
        Value::Object(fields) => fields.values_mut().for_each(visible_json),
        _ => {}
    }
}

/// Whether JSON may hold a text that [`visible_json`] would change; quick, and sometimes yes without need.
fn may_hide(json: &str) -> bool {
    ["\\u", "\\n", "\\r", "\\t", "\\b", "\\f"].iter().any(|escape| json.contains(escape))
        || json.chars().any(|c| is_hidden(c) && !c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_json_are_escaped() {
        assert!(!may_hide("{\n\t\"a\": \"größe\"}") && may_hide(r#"{"a": "\u001b"}"#) && may_hide("\"\u{9b}\""));
        let mut value = serde_json::json!({"a": ["\x1b", 3, {"b": "\u{202e}"}]});
        visible_json(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["\\u{1b}", 3, {"b": "\\u{202e}"}]}));
        for json in
            [r#"["\u001b", "a"]"#, "[\"\u{1b}\", \"a\"]".replace('\u{1b}', "\\u001b").as_str(), "[\"\u{9b}\", \"a\"]"]
        {
            let read: Vec<String> = from_json(json).unwrap();
            assert!(read[0].starts_with(r"\u{") && read[1] == "a", "{json}: {read:?}");
        }
        assert!(from_json::<Value>("{").is_err() && from_json::<Value>(r#"{"\u001b"#).is_err());
    }
}
