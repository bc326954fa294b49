//! A second look at an event that strict reading refuses.
//!
//! JavaScript's and Python's clients accept more than serde does: half of a surrogate pair, the same key twice (the last one
//! counts), a field of an unexpected type that nobody reads. One odd event must
//! not fail an answer that they accept. Only what strict reading refused comes here, so it may cost what it costs.

use serde_json::{Map, Value};

use crate::client::api::lenient::value;

/// The event with everything made readable that common clients read or pass over; `None` where it is not JSON, or not an object.
pub(super) fn mend(json: &[u8]) -> Option<String> {
    let value = value(json)?;
    let Value::Object(mut event) = value else { return value.is_null().then(|| "null".to_owned()) };
    if let Some(usage) = drop_unless_object(&mut event, "usage") {
        drop_unless_object(usage, "prompt_tokens_details");
    }
    for choice in event.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        object(choice);
        let Value::Object(choice) = choice else { continue };
        for key in ["delta", "message"] {
            let Some(message) = drop_unless_object(choice, key) else { continue };
            drop_unless_object(message, "function_call");
            if message.get("tool_calls").is_some_and(|calls| !calls.is_array()) {
                message.remove("tool_calls");
            }
            for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
                object(call);
                if let Value::Object(call) = call {
                    drop_unless_object(call, "function");
                }
            }
        }
    }
    Some(Value::Object(event).to_string())
}

/// What is no object becomes an empty one.
fn object(value: &mut Value) {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
}

/// An object's field that is an object itself; one of another type is dropped.
fn drop_unless_object<'a>(of: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    if of.get(key).is_some_and(|value| !value.is_object()) {
        of.remove(key);
    }
    of.get_mut(key)?.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_common_clients_accept_becomes_readable() {
        let table = [
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (r#"{"a":"\ud83d\ude00"}"#, "{\"a\":\"\u{1f600}\"}"),
            (r#"{"a":"\ude00\ud83dx"}"#, "{\"a\":\"\u{fffd}\u{fffd}x\"}"),
            (r#"{"a":"\\ud83d"}"#, r#"{"a":"\\ud83d"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"usage":[]}"#, "{}"),
            (r#"{"usage":{"prompt_tokens":3,"prompt_tokens_details":"x"}}"#, r#"{"usage":{"prompt_tokens":3}}"#),
            (r#"{"choices":[3,{"delta":"x","message":{"tool_calls":{}}}]}"#, r#"{"choices":[{},{"message":{}}]}"#),
            (
                r#"{"choices":[{"delta":{"tool_calls":[null,{"function":3}],"function_call":[]}}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{},{}]}}]}"#,
            ),
            ("null", "null"),
        ];
        for (event, expected) in table {
            let expected: Value = serde_json::from_str(expected).unwrap();
            let mended: Value = serde_json::from_str(&mend(event.as_bytes()).unwrap()).unwrap();
            assert_eq!(mended, expected, "{event}");
        }
        for hopeless in ["", "{", "[1]", "3", "hello", r#"{"a":"\u12"}"#, r#"{"a":"\"#] {
            assert_eq!(mend(hopeless.as_bytes()), None, "{hopeless}");
        }
    }
}
