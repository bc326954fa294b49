//! The ShareGPT file: `[{"id": …, "conversations": [{"from": …, "value": …}, …]}, …]`.
//!
//! Of a conversation the first two turns are used, whoever speaks them, as LMDeploy, SGLang and vLLM do. The position in
//! the file is the identity: ids repeat in the published file.

use std::{
    borrow::Cow,
    fmt,
    fs::File,
    io::{BufReader, Cursor, Read, Seek},
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use sha2::{Digest, Sha256};

use super::{
    DatasetError, SystemTurns,
    json_array::{ArrayError, JsonArray},
};

/// The turns of a conversation that a benchmark uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Text of the system's turn before them, where it is sent.
    pub system: Option<String>,
    /// Whether the prompt is the system's turn.
    pub of_system: bool,
    /// Text of the first turn, sent as the prompt.
    pub prompt: String,
    /// Text of the second turn, whose length is asked of the server.
    pub answer: String,
}

/// A ShareGPT dataset: a file, or the fixture compiled into the crate.
#[derive(Clone, Debug)]
pub enum ShareGpt {
    /// A JSON file on disk, read as a stream.
    File(PathBuf),
    /// JSON in memory, with a name for messages.
    Embedded(&'static str, &'static [u8]),
}

/// Where a conversation that could be used stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Position in the array, from 0.
    pub index: u32,
    /// Byte offset of the element in the file.
    pub offset: u64,
}

/// What a scan of the whole file found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Elements of the array.
    pub conversations: usize,
    /// SHA-256 of the bytes that were read.
    pub digest: [u8; 32],
}

impl Conversation {
    /// All that is sent, for counting.
    pub(super) fn whole_prompt(&self) -> Cow<'_, str> {
        match &self.system {
            Some(system) => format!("{system}\n{}", self.prompt).into(),
            None => Cow::from(&self.prompt),
        }
    }
}

/// Hashes what is read.
struct Hashed<R> {
    source: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

trait Bytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> Bytes for T {}

impl ShareGpt {
    /// A dataset on disk. Nothing is read yet.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }

    /// The path, or the fixture's name.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Embedded(name, _) => (*name).to_owned(),
        }
    }

    /// SHA-256 of its bytes.
    pub(super) fn digest(&self, stopped: &dyn Fn() -> bool) -> Result<[u8; 32], DatasetError> {
        let mut source = self.open()?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            if stopped() {
                return Err(DatasetError::Stopped);
            }
            match source.read(&mut buffer) {
                Ok(0) => return Ok(digest.finalize().into()),
                Ok(n) => digest.update(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(DatasetError::Read { path: self.name(), source }),
            }
        }
    }

    fn open(&self) -> Result<Box<dyn Bytes>, DatasetError> {
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(DatasetError::Read { path: self.name(), source }),
            },
            Self::Embedded(_, bytes) => Ok(Box::new(Cursor::new(*bytes))),
        }
    }

    /// Reads the file once and hands on every conversation that has two turns of text.
    ///
    /// A conversation with fewer turns, or with odd fields in the first two, is passed over. A file in which no element
    /// at all has a `conversations` list is not ShareGPT.
    pub(super) fn scan(
        &self,
        system_turns: SystemTurns,
        mut each: impl FnMut(Place, Conversation) -> Result<(), DatasetError>,
    ) -> Result<Scan, DatasetError> {
        let mut array = JsonArray::new(Hashed { source: self.open()?, digest: Sha256::new() });
        let mut scan = Scan::default();
        let mut shaped = false;
        while let Some(element) = array.next_element::<Row>().map_err(|e| self.array_error(e))? {
            let index = scan.conversations;
            scan.conversations += 1;
            let row = element.value.unwrap_or_default();
            shaped |= row.turns.is_some();
            if let Some(conversation) = row.conversation(system_turns) {
                let index = u32::try_from(index)
                    .map_err(|_| self.not_sharegpt("it holds more than 4,294,967,295 elements".to_owned()))?;
                each(Place { index, offset: element.offset }, conversation)?;
            }
        }
        scan.digest = array.into_source().digest.finalize().into();
        if scan.conversations == 0 {
            return Err(self.not_sharegpt("the array is empty".to_owned()));
        }
        if !shaped {
            return Err(self.not_sharegpt(format!(
                "none of its {} elements has a list named `conversations`",
                scan.conversations
            )));
        }
        Ok(scan)
    }

    /// Goes back to conversations that a scan found, and reads them in the order given.
    pub(super) fn load(&self, places: &[Place], system_turns: SystemTurns) -> Result<Vec<Conversation>, DatasetError> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|&i| places[i].offset);
        let mut reader = BufReader::new(self.open()?);
        let mut at = 0;
        let mut loaded = vec![None; places.len()];
        for i in order {
            let place = places[i];
            let step = place.offset.wrapping_sub(at) as i64;
            reader.seek_relative(step).map_err(|source| DatasetError::Read { path: self.name(), source })?;
            let row = Row::deserialize(&mut serde_json::Deserializer::from_reader(&mut reader)).ok();
            at = reader.stream_position().map_err(|source| DatasetError::Read { path: self.name(), source })?;
            loaded[i] = row.and_then(|row| row.conversation(system_turns));
        }
        let changed = || self.not_sharegpt("it changed while it was being read".to_owned());
        loaded.into_iter().map(|c| c.ok_or_else(changed)).collect()
    }

    fn not_sharegpt(&self, why: String) -> DatasetError {
        DatasetError::NotShareGpt { path: self.name(), why }
    }

    fn array_error(&self, e: ArrayError) -> DatasetError {
        let path = self.name();
        match e {
            ArrayError::Io(source) => DatasetError::Read { path, source },
            ArrayError::Syntax { line, column, message } => DatasetError::NotJson { path, line, column, message },
            ArrayError::Empty => DatasetError::Empty { path },
            ArrayError::NotArray(first) => {
                let kind = match first {
                    b'{' => "an object (JSON Lines?)",
                    b'"' => "a string",
                    _ => "a single value",
                };
                DatasetError::NotShareGpt { path, why: format!("it holds {kind}, not an array") }
            }
        }
    }
}

/// An element of the file, whatever its shape: only malformed JSON fails.
#[derive(Default)]
struct Row {
    /// The number of turns, where there is a list of them.
    turns: Option<usize>,
    /// The third one where the system begins.
    first: [Option<String>; 3],
    system_begins: bool,
}

impl Row {
    fn conversation(self, system_turns: SystemTurns) -> Option<Conversation> {
        let [first, second, third] = self.first;
        let (system, prompt, answer) = match (self.system_begins, system_turns) {
            (false, _) | (true, SystemTurns::Keep) => (None, first?, second?),
            (true, SystemTurns::Drop) => (None, second?, third?),
            (true, SystemTurns::Send) => (Some(first?), second?, third?),
        };
        let of_system = self.system_begins && system_turns == SystemTurns::Keep;
        Some(Conversation { system, of_system, prompt, answer })
    }
}

/// Scalars in a place where a list, an object or a text was hoped for: they become the type's default.
macro_rules! scalars_are_default {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> { Ok(Self::Value::default()) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok(Self::Value::default()) }
    };
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a conversation")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Row::default();
                while let Some(Key(key)) = map.next_key_seed(Keys(&["conversations"]))? {
                    match key {
                        // Of a repeated key the last one counts, as in Python.
                        Some(_) => row = map.next_value::<Turns>()?.0,
                        None => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(row)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Row, A::Error> {
                skip_seq(seq).map(|()| Row::default())
            }
            scalars_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        }
        deserializer.deserialize_any(RowVisitor)
    }
}

#[derive(Default)]
struct Turns(Row);

impl<'de> Deserialize<'de> for Turns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TurnsVisitor;
        impl<'de> Visitor<'de> for TurnsVisitor {
            type Value = Turns;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of turns")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Turns, A::Error> {
                let mut row = Row::default();
                let mut turns = 0;
                for (i, slot) in row.first.iter_mut().enumerate() {
                    if i == 2 && !row.system_begins {
                        break;
                    }
                    let Some(turn) = seq.next_element::<Turn>()? else { break };
                    row.system_begins |= i == 0 && turn.of_system;
                    *slot = turn.text;
                    turns += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    turns += 1;
                }
                row.turns = Some(turns);
                Ok(Turns(row))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Turns, A::Error> {
                skip_map(map).map(|()| Turns::default())
            }
            scalars_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        }
        deserializer.deserialize_any(TurnsVisitor)
    }
}

#[derive(Default)]
struct Turn {
    text: Option<String>,
    of_system: bool,
}

impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TurnVisitor;
        impl<'de> Visitor<'de> for TurnVisitor {
            type Value = Turn;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a turn")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Turn, A::Error> {
                let mut turn = Turn::default();
                while let Some(Key(key)) = map.next_key_seed(Keys(&["value", "from"]))? {
                    match key {
                        Some(0) => turn.text = map.next_value::<Text>()?.0,
                        Some(_) => turn.of_system = map.next_value::<Text>()?.0.as_deref() == Some("system"),
                        None => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(turn)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Turn, A::Error> {
                skip_seq(seq).map(|()| Turn::default())
            }
            scalars_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        }
        deserializer.deserialize_any(TurnVisitor)
    }
}

#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text, A::Error> {
                skip_seq(seq).map(|()| Text::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                skip_map(map).map(|()| Text::default())
            }
            scalars_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// Finds an object's key among some, without keeping it.
struct Keys(&'static [&'static str]);
/// Which of them it is.
struct Key(Option<usize>);

impl Visitor<'_> for Keys {
    type Value = Key;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key(self.0.iter().position(|known| *known == key)))
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Keys {
    type Value = Key;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(json: &'static str) -> Result<Vec<(u32, String, String)>, String> {
        let dataset = ShareGpt::Embedded("test", json.as_bytes());
        let mut places = Vec::new();
        let mut seen = Vec::new();
        dataset
            .scan(SystemTurns::Keep, |place, c| {
                places.push(place);
                seen.push((place.index, c.prompt, c.answer));
                Ok(())
            })
            .map_err(|e| e.to_string())?;
        // Going back gives the same texts, in whatever order is asked for.
        places.reverse();
        let again: Vec<_> =
            dataset.load(&places, SystemTurns::Keep).unwrap().into_iter().map(|c| (c.prompt, c.answer)).rev().collect();
        assert_eq!(again, seen.iter().map(|(_, p, a)| (p.clone(), a.clone())).collect::<Vec<_>>());
        Ok(seen)
    }

    #[test]
    fn odd_conversations_are_passed_over() {
        let row = |i: u32, p: &str, a: &str| (i, p.to_owned(), a.to_owned());
        let table: &[(&'static str, Vec<(u32, String, String)>)] = &[
            (
                r#"[{"id":"a","conversations":[{"from":"human","value":"p"},{"from":"gpt","value":"a"}]}]"#,
                vec![row(0, "p", "a")],
            ),
            (
                r#"[{"conversations":[{"value":"p"}]},{"conversations":[{"value":"q"},{"value":"b"},{"value":3}]}]"#,
                vec![row(1, "q", "b")],
            ),
            (r#"[{"conversations":[]},7,null,"x",[1],{"a":1},{"conversations":{}},{"conversations":null}]"#, vec![]),
            (
                r#"[{"conversations":[{"value":1},{"value":"a"}]},{"conversations":[{"value":"p"},{"text":"a"}]}]"#,
                vec![],
            ),
            (
                r#"[{"conversations":[{"value":"\ud800"},{"value":"a"}]},{"conversations":[{"value":"p"},{"value":"a"}]}]"#,
                vec![row(1, "p", "a")],
            ),
            (r#"[{"conversations":[{"value":"x","value":"p"},{"value":"a"}],"model":"m"}]"#, vec![row(0, "p", "a")]),
            (r#"[{"conversations":[{"value":"\u00e9\ud83d\ude00é😀"},{"value":""}]}]"#, vec![row(0, "é😀é😀", "")]),
        ];
        for (json, expected) in table {
            assert_eq!(scan(json).as_ref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn a_turn_of_the_systems_is_kept_dropped_or_sent() {
        let json = r#"[{"conversations":[{"from":"system","value":"s"},{"from":"human","value":"p"},{"value":"a"},{"value":"x"}]},
            {"conversations":[{"from":"human","value":"q"},{"value":"b"}]},
            {"conversations":[{"value":"t","from":"system"},{"value":"r"}]}]"#;
        let dataset = ShareGpt::Embedded("test", json.as_bytes());
        for (system_turns, expected) in [
            (SystemTurns::Keep, vec![(None, true, "s", "p"), (None, false, "q", "b"), (None, true, "t", "r")]),
            (SystemTurns::Drop, vec![(None, false, "p", "a"), (None, false, "q", "b")]),
            (SystemTurns::Send, vec![(Some("s"), false, "p", "a"), (None, false, "q", "b")]),
        ] {
            let mut seen = Vec::new();
            dataset
                .scan(system_turns, |_, conversation| {
                    seen.push(conversation);
                    Ok(())
                })
                .unwrap();
            let of = |c: &Conversation| (c.system.clone(), c.of_system, c.prompt.clone(), c.answer.clone());
            let expected = expected.iter().map(|(system, of_system, prompt, answer)| {
                (system.map(str::to_owned), *of_system, (*prompt).to_owned(), (*answer).to_owned())
            });
            assert!(seen.iter().map(of).eq(expected), "{system_turns}: {seen:?}");
        }
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let table = [
            ("", "the dataset test is empty"),
            ("[]", "the array is empty"),
            ("{\"a\": 1}", "it holds an object (JSON Lines?), not an array"),
            ("[1, 2]", "none of its 2 elements has a list named `conversations`"),
            ("[{\"conversations\": [}]", "is not JSON: line 1 column 21: expected value"),
        ];
        for (json, expected) in table {
            let message = scan(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}
