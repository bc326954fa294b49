//! A stream taken apart into its items, however it is framed.

use super::{
    api::Framing,
    lines::LineDecoder,
    sse::{EventTooLarge, SseDecoder, SseItem},
};

/// Most bytes of one item.
pub(super) const MAX_EVENT: usize = 16 << 20;

/// Takes a stream apart.
pub(super) enum Decoder {
    Events(SseDecoder),
    Lines(LineDecoder),
}

impl Decoder {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::ServerSentEvents => Self::Events(SseDecoder::new(MAX_EVENT)),
            Framing::JsonLines => Self::Lines(LineDecoder::new(MAX_EVENT)),
        }
    }

    pub fn reset(&mut self) {
        match self {
            Self::Events(events) => events.reset(),
            Self::Lines(lines) => lines.reset(),
        }
    }

    pub fn feed(&mut self, piece: &[u8], each: impl FnMut(SseItem)) -> Result<(), EventTooLarge> {
        match self {
            Self::Events(events) => events.feed(piece, each),
            Self::Lines(lines) => lines.feed(piece, each),
        }
    }

    /// What is too large at the end is none.
    pub fn finish(&mut self, each: impl FnMut(SseItem)) {
        match self {
            Self::Events(events) => _ = events.finish(each),
            Self::Lines(lines) => lines.finish(each),
        }
    }
}
