//! The JSON of one event, as far as anything of it matters: what a value of an unexpected type says is nothing.
//!
//! Strings are borrowed where they have no escapes, and the usual event allocates nothing.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::client::api::json::{AnyVisitor, Count, FinishReason, FromAny, Text};

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) choices: Option<Choices<'a>>,
    #[serde(default)]
    pub(super) usage: Option<RawUsage>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) object: IsError,
    #[serde(default, rename = "type")]
    pub(super) kind: IsError,
    #[serde(default)]
    pub(super) code: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) message: Option<IgnoredAny>,
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
    /// Of a whole answer, and in a box: a choice is moved several times, and one of a stream has none.
    #[serde(borrow, default)]
    pub(super) message: Option<Box<Delta<'a>>>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<FinishReason<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(default)]
    pub(super) role: IsText,
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

/// Whether a value is a text.
#[derive(Default)]
pub(super) struct IsText(pub(super) bool);

impl FromAny<'_> for IsText {
    const EXPECTED: &'static str = "a string";
    fn of_text(_: Cow<str>) -> Self {
        Self(true)
    }
}

/// Whether a value is the text `error`.
#[derive(Default)]
pub(super) struct IsError(pub(super) bool);

impl FromAny<'_> for IsError {
    const EXPECTED: &'static str = "a string";
    fn of_text(text: Cow<str>) -> Self {
        Self(text == "error")
    }
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

macro_rules! from_any {
    ($($type:ident),*; $($owned:ident),*) => {
        $(impl<'de: 'a, 'a> Deserialize<'de> for $type<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyVisitor(PhantomData::<$type<'de>>))
            }
        })*
        $(impl<'de> Deserialize<'de> for $owned {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AnyVisitor(PhantomData::<Self>))
            }
        })*
    };
}
from_any!(Content, Part; IsText, IsError);
