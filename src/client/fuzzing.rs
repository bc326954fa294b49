//! What `fuzz/` needs of the client; not part of the API.

use super::{
    api::Api,
    clock::now_ns,
    http1::parse_head,
    record::Record,
    response::{End, ResponseReader},
};

/// What a client makes of these bytes, which come in pieces of that size before the server closes the connection: class or
/// `completed`, text and number of token events.
pub fn read_response(bytes: &[u8], streaming: bool, piece: usize) -> (String, String, u32) {
    read_with(&mut ResponseReader::new(Api::default(), streaming), bytes, piece)
}

/// The same with a reader that may have read others before.
fn read_with(reader: &mut ResponseReader, bytes: &[u8], piece: usize) -> (String, String, u32) {
    reader.reset();
    let mut record = Record::new(0, 1, 1);
    let end = read(reader, bytes, piece.max(1), &mut record);
    reader.conclude(end, now_ns(), &mut record, &mut |_| ());
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
        match framing.decode(&bytes[start..end], |payload| reader.take_payload(payload, 1, record, &mut |_| ())) {
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
    use serde_json::Value;

    use super::*;

    /// The captured and handmade responses of fixtures/streams, read without a socket: outcome, text and token events are those that
    /// `expect.py` worked out. tests/mock_server.rs plays them over one, and compares the rest.
    #[test]
    fn captured_responses_are_read_as_expected() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams"));
        let mut read = 0;
        // What one has read before is of no account for the next.
        let mut readers = std::collections::HashMap::new();
        let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        for path in folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())) {
            let capture: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let Some(bytes) = on_the_wire(&capture) else { continue };
            let (streaming, expect) = (capture["request"]["json"]["stream"] == true, &capture["expect"]);
            let of_path =
                |api: &Api| [false, true].iter().any(|stream| capture["request"]["path"] == api.path(*stream));
            let api = Api::all().find(of_path).unwrap_or_default();
            for piece in [bytes.len(), 61] {
                let reader =
                    readers.entry((api.name(), streaming)).or_insert_with(|| ResponseReader::new(api, streaming));
                let (outcome, text, token_events) = read_with(reader, &bytes, piece);
                assert_eq!(expect["outcome"], outcome, "{}", path.display());
                if let Some(expected) = expect["text"].as_str() {
                    assert_eq!(
                        (text.as_str(), &token_events.into()),
                        (expected, &expect["token_events"]),
                        "{}",
                        path.display()
                    );
                }
            }
            read += 1;
        }
        assert!(read > 500, "{read}");
    }

    /// A captured response's bytes; `None` where pieces are Base64, the end was no end of the connection, or models were asked
    /// for.
    fn on_the_wire(capture: &Value) -> Option<Vec<u8>> {
        let response = &capture["response"];
        if !["complete", "eof"].contains(&response["end"].as_str()?) || capture["expect"]["outcome"].is_null() {
            return None;
        }
        let pieces: Option<Vec<&str>> =
            response["body"].as_array()?.iter().map(|piece| piece["text"].as_str()).collect();
        let (pieces, chunked) = (pieces?, response["framing"] == "chunked");
        let mut text = format!("HTTP/1.1 {} X\r\n", response["status"]);
        for header in response["headers"].as_array()? {
            let (name, value) = (header[0].as_str()?, header[1].as_str()?);
            if !["transfer-encoding", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        if !chunked {
            let body = pieces.concat();
            return Some(format!("{text}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
        }
        text += "Transfer-Encoding: chunked\r\n\r\n";
        text.extend(pieces.iter().map(|piece| format!("{:X}\r\n{piece}\r\n", piece.len())));
        if response["end"] == "complete" {
            text += "0\r\n\r\n";
        }
        Some(text.into_bytes())
    }

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
