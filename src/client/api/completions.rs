use serde_json::{Map, Value, json};

use super::{asked::Asked, dialect::Dialect, openai};
use crate::dataset::Prompt;

/// OpenAI's completions.
pub(super) struct Completions;

impl Dialect for Completions {
    fn name(&self) -> &'static str {
        "completions"
    }

    fn help(&self) -> &'static str {
        "OpenAI's completions"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/completions"
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        openai::body(asked, "prompt")
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("prompt".to_owned(), json!(prompt.whole_text()));
    }
}
