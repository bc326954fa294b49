use serde_json::{Map, Value, json};

use super::{asked::Asked, dialect::Dialect};
use crate::dataset::Prompt;

/// Chat completions with the body that LMDeploy's own client of November 2023 sends.
pub(super) struct Lmdeploy;

impl Dialect for Lmdeploy {
    fn name(&self) -> &'static str {
        "lmdeploy"
    }

    fn help(&self) -> &'static str {
        "LMDeploy's servers of 2023"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/chat/completions"
    }

    /// Field for field what `APIClient.chat_completions_v1` of LMDeploy d3e2cee41 puts into its body.
    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { model, stream, ignore_eos, temperature, top_p, max_tokens_field, .. } = *asked;
        let fields = json!({
            "model": model, "messages": null, "temperature": temperature, "top_p": top_p, "n": 1, max_tokens_field: null,
            "stop": false, "stream": stream, "presence_penalty": 0.0, "frequency_penalty": 0.0, "user": null,
            "repetition_penalty": 1.0, "session_id": null, "ignore_eos": ignore_eos, "kwargs": {},
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, client: usize) {
        body.insert("session_id".to_owned(), json!(client));
        body.insert("messages".to_owned(), json!(prompt.whole_text()));
    }
}
