//! The JSON of one event, as far as anything of it matters: what a value of an unexpected type says is nothing.
//!
//! Strings are borrowed where they have no escapes, and the usual event allocates nothing.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::client::failure::one_line;

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) choices: Option<Choices<'a>>,
    #[serde(default)]
    pub(super) usage: Option<RawUsage>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) object: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(default)]
    pub(super) code: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) message: Option<IgnoredAny>,
}

/// Whether JSON says more than nothing: what is neither of JavaScript's and Python's false values nor an empty object.
pub(super) fn is_something(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open)?.strip_suffix(close).map(str::trim_ascii);
    !matches!(json, "null" | "false" | "0" | "\"\"") && inside('{', '}') != Some("") && inside('[', ']') != Some("")
}

#[derive(Deserialize)]
pub(super) struct RawUsage {
    #[serde(default)]
    pub(super) prompt_tokens: Count,
    #[serde(default)]
    pub(super) completion_tokens: Count,
    #[serde(default)]
    pub(super) prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
pub(super) struct PromptDetails {
    #[serde(default)]
    pub(super) cached_tokens: Count,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<FinishReason<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) role: Text<'a>,
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning: Text<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) arguments: Text<'a>,
}

/// A list of choices that allocates nothing for the usual one.
pub(super) struct Choices<'a> {
    pub(super) first: Option<Choice<'a>>,
    pub(super) rest: Vec<Choice<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoicesVisitor;
        impl<'de> Visitor<'de> for ChoicesVisitor {
            type Value = Choices<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of choices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choices<'de>, A::Error> {
                let first = seq.next_element()?;
                let mut rest = Vec::new();
                while let Some(choice) = seq.next_element()? {
                    rest.push(choice);
                }
                Ok(Choices { first, rest })
            }
        }
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

/// Why an answer ended: a name, or SGLang's object with a name and a message.
#[derive(Default)]
pub(super) struct FinishReason<'a> {
    pub(super) name: Text<'a>,
    pub(super) message: Text<'a>,
}

/// Parts of the names under which servers say that they did not finish an answer: LMDeploy's `error`, vLLM's and SGLang's
/// `abort`, DeepSeek's `insufficient_system_resource`, and what others call the same.
const FAILURES: [&str; 9] =
    ["error", "abort", "cancel", "fail", "timeout", "timed_out", "insufficient", "exception", "interrupt"];

impl FinishReason<'_> {
    /// An empty name, and the words for none of JSON and Python, are none.
    pub(super) fn is_some(&self) -> bool {
        let name = self.name.0.as_deref().unwrap_or_default().trim();
        !(name.is_empty() || name.eq_ignore_ascii_case("null") || name.eq_ignore_ascii_case("none"))
    }

    pub(super) fn is_failure(&self) -> bool {
        let name = self.name.0.as_deref().unwrap_or_default().to_ascii_lowercase();
        FAILURES.iter().any(|part| name.contains(part))
    }

    /// What the server says of a failure.
    pub(super) fn said(&self) -> String {
        let name = one_line(self.name.0.as_deref().unwrap_or_default());
        match one_line(self.message.0.as_deref().unwrap_or_default()) {
            message if message.is_empty() => format!("the server ended the answer with the finish reason `{name}`"),
            message => format!("{message} (finish reason `{name}`)"),
        }
    }
}

/// Text as a string, or as a list of parts: `[{"type": "text", "text": …}, {"type": "thinking", "thinking": […]}]`.
#[derive(Default)]
pub(super) struct Content<'a> {
    pub(super) text: Text<'a>,
    pub(super) parts: Vec<Part<'a>>,
}

#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) kind: Text<'a>,
    pub(super) text: Option<Content<'a>>,
    pub(super) thinking: Option<Content<'a>>,
}

/// A string, borrowed where it has no escapes; anything else counts as none.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl Text<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_deref().is_none_or(str::is_empty)
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }
}

/// A whole number, however it is spelled (`8`, `8.0`, `"8"`); anything else counts as none.
#[derive(Clone, Copy, Default)]
pub(super) struct Count(pub(super) Option<u32>);

/// What a value of any type may stand for; each kind of value is none unless told otherwise.
trait FromAny<'de>: Default {
    const EXPECTED: &'static str;
    fn of_text(text: Cow<'de, str>) -> Self;
    fn of_number(_: f64) -> Self {
        Self::default()
    }
    fn of_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    fn of_object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl<'de> FromAny<'de> for Text<'de> {
    const EXPECTED: &'static str = "a string";
    fn of_text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }
}

impl FromAny<'_> for Count {
    const EXPECTED: &'static str = "a count";
    fn of_text(text: Cow<str>) -> Self {
        text.trim().parse().map_or(Self(None), Self::of_number)
    }
    fn of_number(number: f64) -> Self {
        Self((0.0..=f64::from(u32::MAX)).contains(&number).then(|| number.round() as u32))
    }
}

impl<'de> FromAny<'de> for FinishReason<'de> {
    const EXPECTED: &'static str = "a finish reason";
    fn of_text(text: Cow<'de, str>) -> Self {
        Self { name: Text(Some(text)), message: Text::default() }
    }
    fn of_object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut reason = Self::default();
        while let Some(key) = object.next_key::<Cow<str>>()? {
            match &*key {
                "type" => reason.name = object.next_value()?,
                "message" => reason.message = object.next_value()?,
                _ => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(reason)
    }
}

impl<'de> FromAny<'de> for Content<'de> {
    const EXPECTED: &'static str = "a text, or a list of parts";
    fn of_text(text: Cow<'de, str>) -> Self {
        Self { text: Text(Some(text)), parts: Vec::new() }
    }
    fn of_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(Self { text: Text::default(), parts })
    }
}

impl<'de> FromAny<'de> for Part<'de> {
    const EXPECTED: &'static str = "a part of a text";
    fn of_text(text: Cow<'de, str>) -> Self {
        Self { text: Some(Content::of_text(text)), ..Self::default() }
    }
    fn of_object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut part = Self::default();
        while let Some(key) = object.next_key::<Cow<str>>()? {
            match &*key {
                "type" => part.kind = object.next_value()?,
                "text" | "refusal" => part.text = Some(object.next_value()?),
                "thinking" | "reasoning" => part.thinking = Some(object.next_value()?),
                _ => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(part)
    }
}

struct AnyVisitor<T>(PhantomData<T>);

impl<'de, T: FromAny<'de>> Visitor<'de> for AnyVisitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::of_text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(Cow::Owned(text.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::of_number(number as f64))
    }
    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::of_number(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::of_number(number))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list)
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::of_object(object)
    }
}

macro_rules! from_any {
    ($($type:ident),*) => {
        $(impl<'de: 'a, 'a> Deserialize<'de> for $type<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyVisitor(PhantomData::<$type<'de>>))
            }
        })*
    };
}
from_any!(Text, FinishReason, Content, Part);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData::<Self>))
    }
}
