//! Foreign texts (of servers, files and commits) as they may reach a terminal or a report.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The text with every character escaped (`\\u{1b}`) that is not seen but acts: control characters, which terminals obey, and
/// those that change the direction or the order of what is shown.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hidden(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Reads JSON that may come from anywhere, with every text in it as [`visible`] makes it.
///
/// # Errors
/// As `serde_json::from_str`.
pub fn from_json<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
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

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_without_being_seen_is_escaped() {
        let table = [
            ("größe 海 😀 \\", "größe 海 😀 \\"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("a\nb\u{9b}2J\x7f", "a\\u{a}b\\u{9b}2J\\u{7f}"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{61c}", "a\\u{202e}b\\u{2066}c\\u{200f}\\u{61c}"),
            ("\u{feff}\u{2028}", "\\u{feff}\\u{2028}"),
        ];
        for (text, expected) in table {
            assert_eq!(visible(text), expected);
        }
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
