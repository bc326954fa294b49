//! The reader of HTTP responses, streamed and not: the first byte says how the rest is cut; what is made of it must not depend
//! on that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tachometer::internals::read_response;

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else { return };
    let streaming = first & 1 == 0;
    let piece = usize::from(first >> 1 & 15) + 1;
    assert_eq!(read_response(bytes, streaming, piece), read_response(bytes, streaming, bytes.len()));
});
