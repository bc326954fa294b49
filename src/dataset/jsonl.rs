//! A file with a prompt a line: `{"prompt": …}` or `{"messages": [{"role": …, "content": …}, …]}`, with `output_tokens` or
//! `max_tokens` where the length is to be asked for, and `system` for a message before all others.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    DatasetError, Message, Prompt,
    own::{Drawn, name_of},
    source::{Described, Opening, Source},
};

#[derive(Clone)]
struct JsonLines(PathBuf);

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let is_one = [".jsonl", ".ndjson"].iter().any(|ending| text.to_ascii_lowercase().ends_with(ending));
    is_one.then(|| Ok(Arc::new(JsonLines(text.into())) as Arc<dyn Described>))
}

impl fmt::Display for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Described for JsonLines {
    fn workload_name(&self) -> String {
        name_of(&self.0)
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let name = self.to_string();
        let failed = |source| DatasetError::Read { path: name.clone(), source };
        let mut prompts = Vec::new();
        for (i, line) in BufReader::new(File::open(&self.0).map_err(failed)?).split(b'\n').enumerate() {
            if (with.stopped)() {
                return Err(DatasetError::Stopped);
            }
            let line = line.map_err(failed)?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let read = prompt_of(&line).map_err(|why| DatasetError::Line { path: name.clone(), line: i + 1, why })?;
            let prompt = Prompt { conversation: prompts.len(), ..read };
            if prompt.output_tokens == 0 && with.max_tokens.is_none() {
                return Err(DatasetError::NoLength { path: name, number: i + 1 });
            }
            prompts.push(prompt);
        }
        if prompts.is_empty() {
            return Err(DatasetError::NoPrompts { path: name });
        }
        Ok(Box::new(Drawn::new(name, prompts, with)?))
    }
}

/// The prompt of a line; the error is what is wrong with it.
fn prompt_of(line: &[u8]) -> Result<Prompt, String> {
    let value: Value = serde_json::from_slice(line).map_err(|e| format!("it is not JSON: {e}"))?;
    let Value::Object(fields) = value else { return Err("it is not a JSON object".to_owned()) };
    let mut messages = Vec::new();
    match fields.get("system") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => messages.push(Message { role: "system".to_owned(), content: text.clone() }),
        Some(_) => return Err("`system` is not a text".to_owned()),
    }
    match (fields.get("prompt"), fields.get("messages")) {
        (Some(_), Some(_)) => return Err("it has both `prompt` and `messages`".to_owned()),
        (Some(Value::String(text)), None) => messages.push(Message { role: "user".to_owned(), content: text.clone() }),
        (Some(_), None) => return Err("`prompt` is not a text".to_owned()),
        (None, Some(Value::Array(list))) => {
            for (i, message) in list.iter().enumerate() {
                let text = |key: &str| message[key].as_str().map(str::to_owned);
                let (Some(role), Some(content)) = (text("role"), text("content")) else {
                    return Err(format!("message {} has no texts `role` and `content`", i + 1));
                };
                messages.push(Message { role, content });
            }
        }
        (None, Some(_)) => return Err("`messages` is not a list".to_owned()),
        (None, None) => return Err("it has neither `prompt` nor `messages`".to_owned()),
    }
    let last = messages.pop().filter(|last| last.role == "user" && !last.content.is_empty());
    let last = last.ok_or("the last message is not the user's, or is empty")?;
    let length = ["output_tokens", "max_tokens"].iter().find_map(|key| fields.get(*key).filter(|n| !n.is_null()));
    let output_tokens = match length {
        None => 0,
        Some(length) => length
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("the length {length} is not a whole number above 0"))?,
    };
    Ok(Prompt { before: messages.into(), ..Prompt::new(last.content, output_tokens) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let prompt = |line: &str| prompt_of(line.as_bytes());
        assert_eq!(prompt(r#"{"prompt": "Hi"}"#), Ok(Prompt::new("Hi", 0)));
        assert_eq!(prompt(r#"{"prompt": "Hi", "max_tokens": 7}"#), Ok(Prompt::new("Hi", 7)));
        let system = Message { role: "system".to_owned(), content: "Be brief.".to_owned() };
        let with_system = Prompt { before: vec![system].into(), ..Prompt::new("Hi", 3) };
        assert_eq!(prompt(r#"{"system": "Be brief.", "prompt": "Hi", "output_tokens": 3}"#), Ok(with_system.clone()));
        let messages = r#"{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "output_tokens": 3}"#;
        assert_eq!(prompt(messages), Ok(with_system.clone()));
        assert_eq!(with_system.whole_text(), "Be brief.\nHi");
        for (line, expected) in [
            ("{", "it is not JSON: EOF"),
            ("[]", "not a JSON object"),
            ("{}", "neither `prompt` nor `messages`"),
            (r#"{"prompt": 3}"#, "`prompt` is not a text"),
            (r#"{"prompt": ""}"#, "is empty"),
            (r#"{"prompt": "a", "messages": []}"#, "both"),
            (r#"{"messages": []}"#, "the last message"),
            (r#"{"messages": {}}"#, "not a list"),
            (r#"{"messages": [{"role": "user"}]}"#, "message 1 has no texts"),
            (r#"{"messages": [{"role": "assistant", "content": "a"}]}"#, "not the user's"),
            (r#"{"prompt": "a", "system": 3}"#, "`system` is not a text"),
            (r#"{"prompt": "a", "max_tokens": 0}"#, "the length 0"),
            (r#"{"prompt": "a", "output_tokens": "x"}"#, "the length \"x\""),
        ] {
            let why = prompt(line).unwrap_err();
            assert!(why.contains(expected), "{line}: {why}");
        }
    }
}
