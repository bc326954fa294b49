//! The generate of today's LMDeploy: SGLang's answers, whose texts are what was added, to a flat body.

use serde_json::{Map, Value, json};

use super::{asked::Asked, dialect::Dialect, sglang::SgLang};
use crate::{
    client::answer::{Answer, Event},
    dataset::Prompt,
};

pub(super) struct TurboMind;

impl Dialect for TurboMind {
    fn name(&self) -> &'static str {
        "turbomind"
    }

    fn help(&self) -> &'static str {
        "LMDeploy's /generate"
    }

    fn path(&self, stream: bool) -> &'static str {
        SgLang.path(stream)
    }

    fn body(&self, asked: &Asked) -> Map<String, Value> {
        let Asked { stream, ignore_eos, temperature, top_p, .. } = *asked;
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
        put("prompt", Value::Null);
        put("max_tokens", Value::Null);
        put("temperature", json!(temperature));
        put("top_p", json!(top_p));
        put("stream", json!(stream));
        put("ignore_eos", json!(ignore_eos));
        fields
    }

    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &Prompt, _: usize) {
        body.insert("prompt".to_owned(), json!(prompt.whole_text()));
    }

    fn set_length(&self, body: &mut Map<String, Value>, _: &str, tokens: u32) {
        body.insert("max_tokens".to_owned(), json!(tokens));
    }

    fn asks_usage(&self, _: &Map<String, Value>) -> bool {
        false
    }

    fn take_item(&self, answer: &mut Answer, name: &[u8], data: &[u8]) -> Result<Event, serde_json::Error> {
        SgLang.take_item(answer, name, data)
    }

    fn take_body(&self, answer: &mut Answer, body: &[u8]) -> Result<Event, serde_json::Error> {
        SgLang.take_body(answer, body)
    }
}
