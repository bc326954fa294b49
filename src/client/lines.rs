//! A stream of lines, each an item of its own: JSON lines.

use memchr::memchr;

use super::sse::{EventTooLarge, SseItem};

/// An incremental decoder, to be kept and reset for each response: once its buffer has grown it allocates nothing.
#[derive(Debug, Default)]
pub struct LineDecoder {
    /// The line that is not ended yet, where it began in an earlier piece.
    partial: Vec<u8>,
    limit: usize,
}

impl LineDecoder {
    /// A decoder that refuses lines of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { partial: Vec::new(), limit }
    }

    /// Forgets everything of the last stream but the buffer's capacity.
    pub fn reset(&mut self) {
        self.partial.clear();
    }

    /// Takes the next piece of the stream and gives `each` whatever lines it completes, but for empty ones.
    ///
    /// # Errors
    /// [`EventTooLarge`]; the decoder must be reset then.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(SseItem)) -> Result<(), EventTooLarge> {
        while let Some(end) = memchr(b'\n', piece) {
            if self.partial.is_empty() {
                give(&piece[..end], &mut each);
            } else {
                self.keep(&piece[..end])?;
                give(&self.partial, &mut each);
                self.partial.clear();
            }
            piece = &piece[end + 1..];
        }
        self.keep(piece)
    }

    /// Takes the end of the stream, which ends the last line.
    pub fn finish(&mut self, mut each: impl FnMut(SseItem)) {
        give(&self.partial, &mut each);
        self.partial.clear();
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), EventTooLarge> {
        if self.partial.len() + part.len() > self.limit {
            return Err(EventTooLarge);
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }
}

fn give(line: &[u8], each: &mut impl FnMut(SseItem)) {
    let line = line.trim_ascii();
    if !line.is_empty() {
        each(SseItem::Event { name: b"", data: line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let stream = b"{\"a\":1}\n\r\n {\"b\":2}\r\n{\"c\":3}";
        for cut in 1..=stream.len() {
            let mut decoder = LineDecoder::new(9);
            let mut lines = Vec::new();
            let mut each = |item: SseItem| match item {
                SseItem::Event { name: b"", data } => lines.push(String::from_utf8(data.to_vec()).unwrap()),
                other => panic!("{other:?}"),
            };
            for piece in stream.chunks(cut) {
                decoder.feed(piece, &mut each).unwrap();
            }
            decoder.finish(&mut each);
            assert_eq!(lines, [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#], "cut every {cut}");
        }
        let mut decoder = LineDecoder::new(9);
        assert_eq!(decoder.feed(b"0123456789", |_| ()), Err(EventTooLarge));
        decoder.reset();
        assert_eq!(decoder.feed(b"012345678\n", |_| ()), Ok(()));
    }
}
