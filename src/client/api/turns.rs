//! A prompt as the messages that chat APIs take, or as the inputs of others.

use serde_json::{Value, json};

use crate::dataset::Prompt;

/// Those before it, and its own.
pub(super) fn messages(prompt: &Prompt) -> Vec<Value> {
    let before = prompt.before.iter().map(|message| json!({"role": message.role, "content": message.content}));
    before.chain([json!({"role": "user", "content": prompt.text})]).collect()
}

/// The texts of all of them.
pub(super) fn inputs(prompt: &Prompt) -> Vec<Value> {
    let before = prompt.before.iter().map(|message| message.content.as_str());
    before.chain([prompt.text.as_str()]).map(Value::from).collect()
}
