//! Server-sent events, by the WHATWG specification's grammar: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! Bytes go in as they arrive, cut anywhere; whole events come out, with their names. Lines end with LF, CRLF or CR; comments
//! and fields other than `data` and `event` are passed over; several `data` lines join with LF; a byte order mark in front
//! is skipped. Unlike a browser, [`SseDecoder::finish`] also gives a last event whose blank line never came: servers that
//! end a stream so did send that event. A field named `error`, which the specification does not know and some builds of
//! llama.cpp send, is given too, and so is an event that has an error's name and no data.

use memchr::memchr2;

/// An incremental decoder, to be kept and reset for each response: once its buffers have grown it allocates nothing.
#[derive(Debug, Default)]
pub struct SseDecoder {
    /// The line that is not ended yet, where it began in an earlier piece.
    partial: Vec<u8>,
    /// Data of the event that is not ended yet; each line is followed by LF.
    data: Vec<u8>,
    has_data: bool,
    /// The name of that event.
    name: Vec<u8>,
    /// The last piece ended with CR: an LF at the start of the next one belongs to it.
    after_cr: bool,
    started: bool,
    limit: usize,
}

/// An event, or a line of it, was larger than the decoder's limit.
#[derive(Debug, PartialEq, Eq)]
pub struct EventTooLarge;

/// What the decoder hands on.
#[derive(Debug, PartialEq, Eq)]
pub enum SseItem<'a> {
    /// One event.
    Event {
        /// Its name, mostly none.
        name: &'a [u8],
        /// Its data, without the last line ending.
        data: &'a [u8],
    },
    /// The value of a field `error`.
    Error(&'a [u8]),
    /// A comment line, which servers send as a ping.
    Comment,
}

impl SseDecoder {
    /// A decoder that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Forgets everything of the last stream but the buffers' capacity.
    pub fn reset(&mut self) {
        self.partial.clear();
        self.data.clear();
        self.has_data = false;
        self.name.clear();
        self.after_cr = false;
        self.started = false;
    }

    /// Takes the next piece of the stream and gives `each` whatever it completes.
    ///
    /// # Errors
    /// [`EventTooLarge`]; the decoder must be reset then.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(SseItem)) -> Result<(), EventTooLarge> {
        if self.after_cr && !piece.is_empty() {
            self.after_cr = false;
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(end) = memchr2(b'\n', b'\r', piece) {
            if self.partial.is_empty() {
                self.line(&piece[..end], &mut each)?;
            } else {
                self.keep(&piece[..end])?;
                let line = std::mem::take(&mut self.partial);
                let result = self.line(&line, &mut each);
                self.partial = line;
                self.partial.clear();
                result?;
            }
            let ended_by_cr = piece[end] == b'\r';
            piece = &piece[end + 1..];
            if ended_by_cr {
                match piece.first() {
                    Some(b'\n') => piece = &piece[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
        }
        self.keep(piece)
    }

    /// Takes the end of the stream: gives the event that no blank line ended, if there is one.
    ///
    /// # Errors
    /// [`EventTooLarge`].
    pub fn finish(&mut self, mut each: impl FnMut(SseItem)) -> Result<(), EventTooLarge> {
        let line = std::mem::take(&mut self.partial);
        let result = if line.is_empty() { Ok(()) } else { self.line(&line, &mut each) };
        self.partial = line;
        self.partial.clear();
        result?;
        self.dispatch(&mut each);
        Ok(())
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), EventTooLarge> {
        if self.partial.len() + part.len() + self.data.len() > self.limit {
            return Err(EventTooLarge);
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }

    fn line(&mut self, mut line: &[u8], each: &mut impl FnMut(SseItem)) -> Result<(), EventTooLarge> {
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(each);
        } else if line[0] == b':' {
            each(SseItem::Comment);
        } else if let Some(value) = field(line, b"data") {
            if self.data.len() + value.len() > self.limit {
                return Err(EventTooLarge);
            }
            self.has_data = true;
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        } else if let Some(value) = field(line, b"event") {
            if value.len() > self.limit {
                return Err(EventTooLarge);
            }
            self.name.clear();
            self.name.extend_from_slice(value);
        } else if let Some(value) = field(line, b"error") {
            each(SseItem::Error(value));
        }
        Ok(())
    }

    fn dispatch(&mut self, each: &mut impl FnMut(SseItem)) {
        let has_data = std::mem::take(&mut self.has_data);
        if has_data || self.name == b"error" {
            let data = self.data.strip_suffix(b"\n").unwrap_or_default();
            each(SseItem::Event { name: &self.name, data });
        }
        self.data.clear();
        self.name.clear();
    }
}

/// The value of a line where its field has that name.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.first() {
        None => Some(rest),
        Some(b':') => Some(rest[1..].strip_prefix(b" ").unwrap_or(&rest[1..])),
        // A field whose name only begins like this one.
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every item as text: comments as `:`, a name before its data, an error field behind `!`.
    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut items = Vec::new();
        let mut push = |item: SseItem| {
            items.push(match item {
                SseItem::Event { name: b"", data } => String::from_utf8_lossy(data).into_owned(),
                SseItem::Event { name, data } => {
                    format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(data))
                }
                SseItem::Error(value) => format!("!{}", String::from_utf8_lossy(value)),
                SseItem::Comment => ":".to_owned(),
            });
        };
        for piece in pieces {
            decoder.feed(piece, &mut push).unwrap();
        }
        decoder.finish(&mut push).unwrap();
        items
    }

    /// Whether a stream of these pieces stays within a limit of ten bytes.
    fn fits(pieces: &[&str]) -> bool {
        let mut decoder = SseDecoder::new(10);
        pieces.iter().all(|piece| decoder.feed(piece.as_bytes(), |_| ()).is_ok())
    }

    #[test]
    fn as_much_as_the_limit_and_no_more() {
        // A line that is not whole, an event's data, with a line feed for each line, and a name.
        assert!(
            fits(&["0123456789"])
                && fits(&["01234", "56789"])
                && !fits(&["0123456789a"])
                && !fits(&["01234", "56789a"])
        );
        assert!(fits(&["data: 0123456789\n\n"]) && !fits(&["data: 0123456789a\n"]));
        assert!(fits(&["data: 0123\ndata: 0123\n"]) && !fits(&["data: 0123\ndata: 01234\n"]));
        assert!(fits(&["data: 0123\n", "01234"]) && !fits(&["data: 0123\n", "012345"]));
        assert!(fits(&["event: 0123456789\n"]) && !fits(&["event: 0123456789a\n"]));
    }

    #[test]
    fn a_piece_of_nothing_ends_no_line() {
        assert_eq!(decode(&[b"data: a\r", b"", b"\ndata: b\r", b"", b"", b"\n\r", b"", b"\n"]), ["a\nb"]);
    }

    #[test]
    fn the_grammar_however_it_is_cut() {
        let table: &[(&str, &[&str])] = &[
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata:b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data: a\r\n\ndata: b\n\r\n", &["a", "b"]),
            ("data:  two spaces\n\n", &[" two spaces"]),
            ("data: one\ndata: two\n\n", &["one\ntwo"]),
            ("data\n\ndata:\n\ndata: \n\n", &["", "", ""]),
            (": ping\n\n:\n\ndata: a\n\n", &[":", ":", "a"]),
            ("event: x\nid: 7\nretry: 10\ndata: a\nfoo\n\n", &["x=a"]),
            ("event: x\ndata: a\n\ndata: b\n\n", &["x=a", "b"]),
            ("event: x\nevent:y\ndata: a\n\n", &["y=a"]),
            ("event: x\n\ndata: b\n\n", &["b"]),
            ("event: error\n\nevent: error\ndata: a", &["error=", "error=a"]),
            ("error: {}\n\nerror\nerrors: no\n", &["!{}", "!"]),
            ("database: no\ndat: no\nData: no\n\n", &[]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data: größe 海 😀\n\n", &["größe 海 😀"]),
            ("data: a\n\ndata: [DONE]", &["a", "[DONE]"]),
            ("data: a\n\ndata: [DONE]\n", &["a", "[DONE]"]),
            ("\n\n\n", &[]),
            ("", &[]),
        ];
        for (stream, expected) in table {
            let bytes = stream.as_bytes();
            assert_eq!(decode(&[bytes]), *expected, "{stream:?} whole");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), *expected, "{stream:?} in single bytes");
            for cut in 0..bytes.len() {
                assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]), *expected, "{stream:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_refused_and_memory_stays_bounded() {
        let mut decoder = SseDecoder::new(1000);
        let mut result = Ok(());
        for _ in 0..100 {
            result = decoder.feed(b"data: 0123456789", |_| ());
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, Err(EventTooLarge));
        assert!(decoder.partial.capacity() <= 4096);
        decoder.reset();
        assert_eq!(
            decoder.feed(b"data: ok\n\n", |item| assert_eq!(item, SseItem::Event { name: b"", data: b"ok" })),
            Ok(())
        );
    }
}
