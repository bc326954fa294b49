//! The elements of a top-level JSON array, one at a time.
//!
//! serde_json reads a whole array or a sequence of concatenated values, but does not say where an element of an array
//! stands. Both the memory bound (a 440 MB file must not stand in memory) and going back to the chosen conversations need
//! that, so this reader keeps a window of the file, has serde_json parse one element in it at a time, and reads only
//! `[`, `,` and `]` on its own.

use std::io::{self, Read};

use serde::de::{DeserializeOwned, IgnoredAny};

const WINDOW: usize = 1 << 20;

/// What stopped the reader.
#[derive(Debug)]
pub enum ArrayError {
    /// The source failed.
    Io(io::Error),
    /// Not well-formed JSON at that place.
    Syntax { line: u64, column: u64, message: String },
    /// Nothing but white space.
    Empty,
    /// A JSON value that is no array; the first byte of it.
    NotArray(u8),
}

impl From<io::Error> for ArrayError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// One element: where it starts in the source (bytes), and its value, or `None` where it is JSON of another type.
#[derive(Debug)]
pub struct Element<T> {
    pub offset: u64,
    pub value: Option<T>,
}

#[derive(Clone, Copy)]
enum State {
    BeforeArray,
    BeforeFirst,
    AfterElement,
    Done,
}

pub struct JsonArray<R> {
    source: R,
    window: Vec<u8>,
    /// Where the unread part of the window starts.
    start: usize,
    /// Offset in the source of that place, and its line and column, from 1.
    offset: u64,
    line: u64,
    column: u64,
    at_end: bool,
    state: State,
}

impl<R: Read> JsonArray<R> {
    pub fn new(source: R) -> Self {
        Self {
            source,
            window: Vec::new(),
            start: 0,
            offset: 0,
            line: 1,
            column: 1,
            at_end: false,
            state: State::BeforeArray,
        }
    }

    /// What it read from: to its end, once there was no next element.
    pub fn into_source(self) -> R {
        self.source
    }

    /// The next element, or `None` after the closing bracket.
    pub fn next_element<T: DeserializeOwned>(&mut self) -> Result<Option<Element<T>>, ArrayError> {
        loop {
            let next = self.peek()?;
            match (self.state, next) {
                (State::BeforeArray, None) => return Err(ArrayError::Empty),
                (State::BeforeArray, Some(0xEF)) if self.offset == 0 && self.skip_byte_order_mark()? => {}
                (State::BeforeArray, Some(b'[')) => {
                    self.consume(1);
                    self.state = State::BeforeFirst;
                }
                (State::BeforeArray, Some(other)) => {
                    // A file that is not JSON at all deserves to be told so, with the place.
                    self.element::<IgnoredAny>()?;
                    return Err(ArrayError::NotArray(other));
                }
                (State::BeforeFirst | State::AfterElement, Some(b']')) => {
                    self.consume(1);
                    self.state = State::Done;
                }
                (State::BeforeFirst, Some(_)) => {
                    self.state = State::AfterElement;
                    return self.element().map(Some);
                }
                (State::AfterElement, Some(b',')) => {
                    self.consume(1);
                    if let Some(b']') | None = self.peek()? {
                        return Err(self.syntax("expected a value after the comma"));
                    }
                    return self.element().map(Some);
                }
                (State::AfterElement, Some(_)) => return Err(self.syntax("expected `,` or `]`")),
                (State::BeforeFirst | State::AfterElement, None) => {
                    return Err(self.syntax("the file ends inside the array"));
                }
                (State::Done, None) => return Ok(None),
                (State::Done, Some(_)) => return Err(self.syntax("trailing characters after the array")),
            }
        }
    }

    fn element<T: DeserializeOwned>(&mut self) -> Result<Element<T>, ArrayError> {
        let offset = self.offset;
        loop {
            let (length, value) = match self.parse::<T>() {
                Ok((length, value)) => (length, Some(value)),
                Err(e) if e.is_eof() && !self.at_end => {
                    self.fill()?;
                    continue;
                }
                // Well-formed, but not a T (another type, a lone surrogate): the caller decides what that means.
                Err(_) => match self.parse::<IgnoredAny>() {
                    Ok((length, _)) => (length, None),
                    Err(e) if e.is_eof() && !self.at_end => {
                        self.fill()?;
                        continue;
                    }
                    Err(e) => return Err(self.syntax_of(&e)),
                },
            };
            // A number at the very end of the window may go on behind it.
            if self.start + length == self.window.len() && !self.at_end {
                self.fill()?;
                continue;
            }
            self.consume(length);
            return Ok(Element { offset, value });
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<(usize, T), serde_json::Error> {
        let mut values = serde_json::Deserializer::from_slice(&self.window[self.start..]).into_iter::<T>();
        match values.next() {
            Some(value) => value.map(|v| (values.byte_offset(), v)),
            None => Err(serde::de::Error::custom("expected a value")),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<Option<u8>, ArrayError> {
        loop {
            let unread = &self.window[self.start..];
            match unread.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
                Some(at) => {
                    self.consume(at);
                    return Ok(Some(self.window[self.start]));
                }
                None => {
                    self.consume(unread.len());
                    if self.at_end {
                        return Ok(None);
                    }
                    self.fill()?;
                }
            }
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<bool, ArrayError> {
        while self.window.len() < 3 && !self.at_end {
            self.fill()?;
        }
        let found = self.window.starts_with(b"\xEF\xBB\xBF");
        if found {
            self.consume(3);
            self.column = 1;
        }
        Ok(found)
    }

    fn consume(&mut self, length: usize) {
        let read = &self.window[self.start..self.start + length];
        match memchr::memrchr(b'\n', read) {
            Some(last) => {
                self.line += memchr::memchr_iter(b'\n', read).count() as u64;
                self.column = (length - last) as u64;
            }
            None => self.column += length as u64,
        }
        self.start += length;
        self.offset += length as u64;
    }

    /// Reads on: doubles the window while one element does not fit into it.
    fn fill(&mut self) -> Result<(), ArrayError> {
        self.window.drain(..self.start);
        self.start = 0;
        let want = self.window.len().max(WINDOW) as u64;
        let got = self.source.by_ref().take(want).read_to_end(&mut self.window)?;
        self.at_end = got == 0;
        Ok(())
    }

    fn syntax(&self, message: &str) -> ArrayError {
        ArrayError::Syntax { line: self.line, column: self.column, message: message.to_owned() }
    }

    fn syntax_of(&self, e: &serde_json::Error) -> ArrayError {
        let (line, column) = match e.line() {
            0 | 1 => (self.line, self.column + (e.column() as u64).saturating_sub(1)),
            further => (self.line + further as u64 - 1, e.column().max(1) as u64),
        };
        // serde_json appends its own idea of the place, which is relative to the element.
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        ArrayError::Syntax { line, column, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a read, so that every element is cut everywhere.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(into.len()).min(1);
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn read(text: &str) -> Result<Vec<(u64, Option<i64>)>, String> {
        let mut array = JsonArray::new(Drip(text.as_bytes()));
        let mut all = Vec::new();
        loop {
            match array.next_element::<i64>() {
                Ok(Some(e)) => all.push((e.offset, e.value)),
                Ok(None) => return Ok(all),
                Err(ArrayError::Syntax { line, column, .. }) => return Err(format!("{line}:{column}")),
                Err(e) => return Err(format!("{e:?}")),
            }
        }
    }

    #[test]
    fn elements_and_places() {
        let table: &[(&str, Result<Vec<(u64, Option<i64>)>, &str>)] = &[
            ("[]", Ok(vec![])),
            (" [ 12 ,\n345]\n", Ok(vec![(3, Some(12)), (8, Some(345))])),
            ("\u{feff}[1]", Ok(vec![(4, Some(1))])),
            ("[\"x\",{\"a\":[1]},7]", Ok(vec![(1, None), (5, None), (15, Some(7))])),
            ("", Err("Empty")),
            (" \n ", Err("Empty")),
            ("{\"a\": 1}", Err("NotArray(123)")),
            ("hello", Err("1:1")),
            ("[1,\n 2,\n  x]", Err("3:3")),
            ("[1 2]", Err("1:4")),
            ("[1,]", Err("1:4")),
            ("[1,\n{\"a\": tru}]", Err("2:10")),
            ("[1,\n2", Err("2:2")),
            ("[1] x", Err("1:5")),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected.clone().map_err(str::to_owned), "{text:?}");
        }
    }
}
