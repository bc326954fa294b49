//! A stream's bytes to what its items say, without times and records: for the hot_path benchmark and the test that it allocates
//! nothing.

use super::{answer::Answer, api::Api, decoder::Decoder, sse::SseItem};

/// Takes streams apart and reads their items; its buffers are kept.
pub struct StreamReader {
    api: Api,
    decoder: Decoder,
    answer: Answer,
}

impl StreamReader {
    /// For streams of an API.
    pub fn new(api: Api) -> Self {
        Self { api, decoder: Decoder::new(api.dialect().framing()), answer: Answer::default() }
    }

    /// Makes ready for the next stream.
    pub fn reset(&mut self) {
        self.decoder.reset();
        self.answer.clear();
    }

    /// Takes a piece of the body; gives how many items it completed.
    ///
    /// # Panics
    /// Where the stream is not one of that API.
    pub fn feed(&mut self, piece: &[u8]) -> usize {
        let Self { api, decoder, answer } = self;
        let mut items = 0;
        let each = |item: SseItem| {
            if let SseItem::Event { name, data } = item {
                items += usize::from(api.take_item(answer, name, data).is_ok());
            }
        };
        assert!(decoder.feed(piece, each).is_ok(), "an item is too large");
        items
    }

    /// The generated text so far.
    pub fn text(&self) -> &str {
        &self.answer.text
    }
}
