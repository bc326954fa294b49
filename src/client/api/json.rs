//! JSON as far as anything of it matters, for every API: what a value of an unexpected type says is nothing.
//!
//! Strings are borrowed where they have no escapes, and the usual event allocates nothing.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use crate::client::answer::{Answer, error_message};

/// Whether JSON says more than nothing: what is neither of JavaScript's and Python's false values nor an empty object.
fn is_something(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open)?.strip_suffix(close).map(str::trim_ascii);
    !matches!(json, "null" | "false" | "0" | "\"\"") && inside('{', '}') != Some("") && inside('[', ']') != Some("")
}

/// Takes what any API says of a failure: `error`, where it is something, or the whole item, where that says so. Gives whether
/// there is one.
pub(super) fn fails(answer: &mut Answer, error: Option<&RawValue>, says_so: bool, json: &[u8]) -> bool {
    let error = error.filter(|raw| is_something(raw.get()));
    let failed = error.is_some() || says_so;
    if failed {
        answer.fail(|| error_message(error.map_or(json, |raw| raw.get().as_bytes())));
    }
    failed
}

/// A string, borrowed where it has no escapes; anything else counts as none.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl Text<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_deref().is_none_or(str::is_empty)
    }

    /// Adds it to an answer's text; gives whether there was some.
    pub(super) fn append_to(&self, answer: &mut Answer) -> bool {
        answer.append(self.0.as_deref().unwrap_or_default())
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }
}

/// A whole number, however it is spelled (`8`, `8.0`, `"8"`); anything else counts as none.
#[derive(Clone, Copy, Default)]
pub(super) struct Count(pub(super) Option<u32>);

/// What a value of any type may stand for; each kind of value is none unless told otherwise.
pub(super) trait FromAny<'de>: Default {
    const EXPECTED: &'static str;
    fn of_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }
    fn of_number(_: f64) -> Self {
        Self::default()
    }
    fn of_bool(_: bool) -> Self {
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

pub(super) struct AnyVisitor<T>(pub(super) PhantomData<T>);

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
    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::of_bool(value))
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

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData::<Text<'de>>))
    }
}

/// Why an answer ended: a name, or SGLang's object with a name and a message.
#[derive(Default)]
pub(super) struct FinishReason<'a> {
    pub(super) name: Text<'a>,
    pub(super) message: Text<'a>,
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

impl<'de: 'a, 'a> Deserialize<'de> for FinishReason<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData::<FinishReason<'de>>))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData::<Self>))
    }
}

/// An object; a value of another type is none.
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> FromAny<'de> for Object<T> {
    const EXPECTED: &'static str = "an object";
    fn of_object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(|value| Self(Some(value)))
    }
}

/// A list of values that allocates nothing where it is empty; a value of another type is an empty one.
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> FromAny<'de> for List<T> {
    const EXPECTED: &'static str = "a list";
    fn of_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Self(values))
    }
}

/// How many values a list has; anything else has none.
#[derive(Clone, Copy, Default)]
pub(super) struct Size(pub(super) Option<usize>);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}

impl<'de> FromAny<'de> for Size {
    const EXPECTED: &'static str = "a list";
    fn of_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut size = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            size += 1;
        }
        Ok(Self(Some(size)))
    }
}

/// A truth value; anything else is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}

impl FromAny<'_> for Flag {
    const EXPECTED: &'static str = "a truth value";
    fn of_bool(value: bool) -> Self {
        Self(value)
    }
}

/// Reads JSON strictly, and where that fails, once more as common clients do: `mend` makes it readable for them.
///
/// # Errors
/// Where it is readable for nobody.
pub(super) fn read<R>(
    json: &[u8],
    mend: impl FnOnce(&[u8]) -> Option<String>,
    mut take: impl FnMut(&[u8]) -> Result<R, serde_json::Error>,
) -> Result<R, serde_json::Error> {
    match take(json) {
        Ok(taken) => Ok(taken),
        Err(e) => match mend(json) {
            Some(mended) => take(mended.as_bytes()),
            None => Err(e),
        },
    }
}
