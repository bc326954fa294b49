//! The SSE decoder: the first byte says how the rest is cut; the events must not depend on it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tachometer::{client::Api, internals::{Answer, SseDecoder, SseItem}};

fn events(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = SseDecoder::new(1 << 16);
    let mut answer = Answer::default();
    let mut events = Vec::new();
    let mut take = |item: SseItem| {
        if let SseItem::Event { name, data } = item {
            _ = Api::default().take_item(&mut answer, name, data);
            events.push(data.to_vec());
        }
    };
    let failed = bytes.chunks(piece).any(|piece| decoder.feed(piece, &mut take).is_err());
    let failed = failed || decoder.finish(&mut take).is_err();
    (events, failed)
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else { return };
    assert_eq!(events(bytes, usize::from(first % 16) + 1), events(bytes, bytes.len().max(1)));
});
