use serde_json::{Map, Value};

use super::{asked::Asked, dialect::Dialect, openai, turns::messages};
use crate::dataset::Prompt;

/// OpenAI's chat completions; today's LMDeploy too.
pub(super) struct Chat;

impl Dialect for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn help(&self) -> &'static str {
        "OpenAI's chat completions"
    }

    fn path(&self, _: bool) -> &'static str {
        "/v1/chat/completions"
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        openai::body(asked, "messages")
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("messages".to_owned(), messages(prompt).into());
    }
}
