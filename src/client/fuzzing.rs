//! What `fuzz/` needs of the client; not part of the API.

use super::{
    clock::now_ns,
    http1::parse_head,
    record::Record,
    response::{End, ResponseReader},
};

/// What a client makes of these bytes, which come in pieces of that size before the server closes the connection: class or
/// `completed`, text and number of token events.
pub fn read_response(bytes: &[u8], streaming: bool, piece: usize) -> (String, String, u32) {
    let mut reader = ResponseReader::new(streaming);
    let mut record = Record::new(0, 1, 1);
    let end = read(&mut reader, bytes, piece.max(1), &mut record);
    reader.conclude(end, now_ns(), &mut record);
    let outcome = match record.outcome {
        Ok(()) => "completed".to_owned(),
        Err(failure) => failure.class.to_string(),
    };
    (outcome, reader.text().to_owned(), record.token_events)
}

/// As `Client::complete` reads from its connection.
fn read(reader: &mut ResponseReader, bytes: &[u8], piece: usize, record: &mut Record) -> End {
    let mut framing = None;
    let mut start = 0;
    for end in (piece..bytes.len() + piece).step_by(piece).map(|end| end.min(bytes.len())) {
        reader.begin_read();
        if framing.is_none() {
            match parse_head(&bytes[start..end]) {
                Err(failure) => return End::Malformed(failure),
                Ok(None) => continue,
                Ok(Some((head, length))) => {
                    framing = Some(head.framing);
                    start += length;
                    if let Err(failure) = reader.take_head(head) {
                        return End::Malformed(failure);
                    }
                }
            }
        }
        let Some(framing) = &mut framing else { continue };
        match framing.decode(&bytes[start..end], |payload| reader.take_payload(payload, 1, record)) {
            Ok(used) => start += used,
            Err(failure) => return End::Malformed(failure),
        }
        if let Some(failure) = reader.take_failure() {
            return End::Malformed(failure);
        }
        if framing.is_done() {
            return End::Complete;
        }
    }
    match framing {
        Some(super::http1::Framing::UntilClose) if !reader.reads_events() => End::Complete,
        _ => End::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_has_found_stays_mended() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regressions/response");
        let mut read = 0;
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            // The first byte is how the fuzz target cuts the rest.
            let bytes = std::fs::read(&path).unwrap().split_off(1);
            for streaming in [true, false] {
                let whole = read_response(&bytes, streaming, bytes.len());
                for piece in 1..=16 {
                    assert_eq!(read_response(&bytes, streaming, piece), whole, "{}, in {piece}s", path.display());
                }
            }
            read += 1;
        }
        assert!(read > 0);
    }
}
