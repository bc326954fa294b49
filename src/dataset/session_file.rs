//! Files of conversations: a JSON array of ShareGPT's, or of vLLM's (`{"id": …, "messages": [{"role": …, "content": …}, …]}`), or AIPerf's
//! sessions, a line each (`{"session_id": …, "turns": [{"text": …, "delay": …}, …]}`).
//!
//! ShareGPT's hold long conversations in parts, whose ids are `ID_0`, `ID_1` and so on. They are put together in the order of the file, without
//! the first turn of a part whose speaker is that of the last turn before it, as vLLM's `convert_sharegpt_to_openai.py` does.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    DatasetError, SystemTurns,
    json_array::{ArrayError, JsonArray},
};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    System,
    User,
    Assistant,
    /// Nobody that could be sent, or without a text.
    Unknown,
}

impl Speaker {
    fn of(name: &str) -> Self {
        match name {
            "system" => Self::System,
            "human" | "user" => Self::User,
            "gpt" | "assistant" | "bing" | "chatgpt" | "bard" => Self::Assistant,
            _ => Self::Unknown,
        }
    }
}

/// What one speaker said, as the file has it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    speaker: Speaker,
    pub text: String,
    /// How long to wait before it.
    pub pause: Duration,
    /// Tokens to ask for, where the file says so.
    pub output_tokens: Option<u32>,
}

/// A turn: what the user says, and the answer that was recorded.
pub(super) struct Turn {
    pub user: Said,
    /// `None` where none was recorded.
    pub answer: Option<String>,
}

/// A conversation as it can be sent.
pub(super) struct Session {
    pub system: Option<String>,
    pub turns: Vec<Turn>,
}

/// Where the parts of a conversation begin, in bytes.
pub(super) type Place = Vec<u64>;

pub(super) struct SessionFile {
    pub path: PathBuf,
    pub system_turns: SystemTurns,
    /// Tokens to ask for in every turn.
    pub max_tokens: Option<u32>,
}

/// An element of a file, whatever its shape.
struct Element {
    id: Option<String>,
    said: Vec<Said>,
    /// Whether it is a conversation of any of the formats.
    is_shaped: bool,
}

impl SessionFile {
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub fn error(&self, why: impl Into<String>) -> DatasetError {
        DatasetError::NoSessions { path: self.name(), why: why.into() }
    }

    pub fn read_error(&self, source: std::io::Error) -> DatasetError {
        DatasetError::Read { path: self.name(), source }
    }

    /// Hands on each element of the file with the offset where it begins.
    fn each(
        &self,
        stopped: &dyn Fn() -> bool,
        mut each: impl FnMut(u64, Element) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let file = File::open(&self.path).map_err(|e| self.read_error(e))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        if self.is_lines(&mut reader)? {
            let mut offset = 0;
            let mut line = Vec::new();
            for number in 1.. {
                if stopped() {
                    return Err(DatasetError::Stopped);
                }
                line.clear();
                let length = reader.read_until(b'\n', &mut line).map_err(|e| self.read_error(e))?;
                if length == 0 {
                    break;
                }
                if !line.trim_ascii().is_empty() {
                    let wrong = |why| DatasetError::Line { path: self.name(), line: number, why };
                    let value: Value =
                        serde_json::from_slice(&line).map_err(|e| wrong(format!("it is not JSON: {e}")))?;
                    if value["filetype"] == "generate_conversations" {
                        return Err(self.error("it tells vLLM how to generate conversations, and has none of its own"));
                    }
                    let element = element(&value);
                    if !element.is_shaped {
                        return Err(wrong("it has no list `turns`, `messages` or `conversations`".to_owned()));
                    }
                    each(offset, element)?;
                }
                offset += length as u64;
            }
            return Ok(());
        }
        let mut array = JsonArray::new(reader);
        while let Some(found) = array.next_element::<Value>().map_err(|e| self.array_error(e))? {
            if stopped() {
                return Err(DatasetError::Stopped);
            }
            each(found.offset, element(&found.value.unwrap_or_default()))?;
        }
        Ok(())
    }

    /// Whether the file has an object a line, and not one array.
    fn is_lines(&self, reader: &mut BufReader<File>) -> Result<bool, DatasetError> {
        let start = reader.fill_buf().map_err(|e| self.read_error(e))?;
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
        Ok(start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
    }

    fn array_error(&self, error: ArrayError) -> DatasetError {
        let path = self.name();
        match error {
            ArrayError::Io(source) => DatasetError::Read { path, source },
            ArrayError::Syntax { line, column, message } => DatasetError::NotJson { path, line, column, message },
            ArrayError::Empty => self.error("it is empty"),
            ArrayError::NotArray(_) => self.error("it is neither an array nor has an object a line"),
        }
    }

    /// Where the conversations are that have at least so many turns.
    pub fn scan(&self, min_turns: usize, stopped: &dyn Fn() -> bool) -> Result<Vec<Place>, DatasetError> {
        // What is known of each is who speaks in it, without the texts.
        let mut found: Vec<(Place, Vec<Said>)> = Vec::new();
        let mut by_id: HashMap<String, usize> = HashMap::new();
        let (mut elements, mut are_shaped) = (0, false);
        self.each(stopped, |offset, element| {
            elements += 1;
            are_shaped |= element.is_shaped;
            let said = element.said.into_iter().map(|said| Said { text: String::new(), ..said }).collect();
            let place = element.id.map(|id| *by_id.entry(id).or_insert(found.len()));
            match place.filter(|place| *place < found.len()) {
                Some(place) => {
                    found[place].0.push(offset);
                    join(&mut found[place].1, said);
                }
                None => found.push((vec![offset], said)),
            }
            Ok(())
        })?;
        if !are_shaped {
            let why = format!("none of its {elements} elements has a list `conversations` or `messages`");
            return Err(self.error(why));
        }
        let conversations = found.len();
        let long_enough = |said: Vec<Said>| self.session(said).is_some_and(|session| session.turns.len() >= min_turns);
        let places: Vec<Place> =
            found.into_iter().filter_map(|(place, said)| long_enough(said).then_some(place)).collect();
        if places.is_empty() {
            let why = format!(
                "none of its {conversations} conversations has {min_turns} user turns with an answer each: lower --min-turns"
            );
            return Err(self.error(why));
        }
        Ok(places)
    }

    /// Goes back to a conversation that the scan found.
    pub fn load(&self, file: &mut BufReader<File>, place: &Place) -> Result<Session, DatasetError> {
        let mut said = Vec::new();
        for offset in place {
            file.seek(SeekFrom::Start(*offset)).map_err(|e| self.read_error(e))?;
            let value =
                Value::deserialize(&mut serde_json::Deserializer::from_reader(file.by_ref())).unwrap_or_default();
            join(&mut said, element(&value).said);
        }
        self.session(said).ok_or_else(|| self.error("it changed while it was being read"))
    }

    /// A conversation as it can be sent; `None` where user and assistant do not take turns in it.
    fn session(&self, said: Vec<Said>) -> Option<Session> {
        let mut said = said.into_iter().peekable();
        let system = said.next_if(|first| first.speaker == Speaker::System).map(|first| first.text);
        let system = system.filter(|_| self.system_turns != SystemTurns::Drop);
        while said.next_if(|first| first.speaker == Speaker::Assistant).is_some() {}
        let mut turns = Vec::new();
        while let Some(user) = said.next() {
            if user.speaker != Speaker::User {
                return None;
            }
            let answer = said.next_if(|next| next.speaker == Speaker::Assistant).map(|answer| answer.text);
            // A last word without an answer has no length to ask for.
            if answer.is_none() && user.output_tokens.or(self.max_tokens).is_none() {
                match said.peek() {
                    None => break,
                    Some(_) => return None,
                }
            }
            turns.push(Turn { user, answer });
        }
        Some(Session { system, turns })
    }
}

/// Adds a part of a conversation.
fn join(said: &mut Vec<Said>, part: Vec<Said>) {
    let repeats = said.last().zip(part.first()).is_some_and(|(last, first)| last.speaker == first.speaker);
    said.extend(part.into_iter().skip(usize::from(repeats)));
}

fn element(value: &Value) -> Element {
    let lists = [("conversations", "from", "value"), ("messages", "role", "content")];
    for (list, speaker, text) in lists {
        if let Value::Array(turns) = &value[list] {
            let said = turns
                .iter()
                .map(|turn| said(turn, Speaker::of(turn[speaker].as_str().unwrap_or_default()), &turn[text]));
            // Of vLLM's and of lines, each is whole.
            let id = value["id"].as_str().filter(|_| list == "conversations").and_then(conversation_of);
            return Element { id: id.map(str::to_owned), said: said.collect(), is_shaped: true };
        }
    }
    match &value["turns"] {
        Value::Array(turns) => {
            let text =
                |turn: &Value| if turn["text"].is_string() { turn["text"].clone() } else { turn["texts"][0].clone() };
            let said = turns.iter().map(|turn| {
                let speaker = turn["role"].as_str().map_or(Speaker::User, Speaker::of);
                said(turn, speaker, &text(turn))
            });
            Element { id: None, said: said.collect(), is_shaped: true }
        }
        _ => Element { id: None, said: Vec::new(), is_shaped: false },
    }
}

fn said(turn: &Value, speaker: Speaker, text: &Value) -> Said {
    let text = text.as_str().unwrap_or_default();
    let number = |name: &str| turn[name].as_f64().filter(|number| *number > 0.0);
    let output_tokens = ["output_tokens", "max_tokens", "output_length"].into_iter().find_map(number);
    // In milliseconds, as AIPerf has it.
    let pause = number("delay").and_then(|ms| Duration::try_from_secs_f64(ms * 1e-3).ok());
    Said {
        speaker: if text.trim().is_empty() { Speaker::Unknown } else { speaker },
        text: text.to_owned(),
        pause: pause.unwrap_or_default(),
        output_tokens: output_tokens.map(|tokens| tokens as u32),
    }
}

/// The conversation that a part belongs to: `ID` of `ID_3`.
fn conversation_of(id: &str) -> Option<&str> {
    let (conversation, part) = id.rsplit_once('_')?;
    (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(conversation)
}
