use serde_json::{Value, json};

use super::{
    lists::{Words, one_step},
    wording::{Dialect, Terms, Wording},
};

/// OpenAI's embeddings: as long as a prefill and one step take.
pub struct Embeddings;

impl Dialect for Embeddings {
    fn paths(&self) -> &'static [&'static str] {
        &["/v1/embeddings"]
    }

    fn prompt(&self, body: &Value) -> Option<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = || body["input"].as_array()?.iter().map(text).collect::<Option<Vec<String>>>();
        text(&body["input"]).or_else(|| Some(list()?.join("\n")))
    }

    fn asks_for(&self) -> &'static str {
        "`input` must be a string, or a list of strings"
    }

    fn results(&self, body: &Value) -> usize {
        body["input"].as_array().map_or(1, Vec::len)
    }

    fn length<'a>(&self, _: &'a Value) -> &'a Value {
        one_step()
    }

    fn streams(&self, _: &str, _: &Value) -> bool {
        false
    }

    fn wording(&self, terms: &Terms) -> Box<dyn Wording> {
        Box::new(Words::new(
            terms,
            "data",
            |index| json!({"object": "embedding", "index": index, "embedding": [0.5, -0.5, 0.25, 0.75]}),
        ))
    }
}
