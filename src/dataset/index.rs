//! What a scan of a dataset found, kept so that the next run reads only the prompts that it sends.
//!
//! The file's key is a digest of everything that the scan went by: the dataset's bytes, the tokenizer's, the policy and its
//! limits. Its last bytes are a digest of all before them. An index of another key, or one that is torn, is none.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Limits, Policy, SystemTurns, conversations::Place, counter::CountedBy};

/// What a scan found.
pub(super) struct Index {
    pub conversations: usize,
    /// The package that counted.
    pub counted_by: CountedBy,
    pub rows: Vec<Row>,
}

/// A conversation with its token counts; under shuffle-then-filter they are counted when it is drawn.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub place: Place,
    pub prompt_tokens: u32,
    pub output_tokens: u32,
}

/// What a scan went by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; DIGEST]);

const DIGEST: usize = 32;
/// Changes with the form of the file.
const MAGIC: &[u8] = b"tachometer index 2\n";
const ROW_BYTES: usize = 20;
const ITSELF: u8 = 0;
const KITOKEN: u8 = 1;

impl Key {
    pub fn of(
        dataset: [u8; DIGEST],
        tokenizer: [u8; DIGEST],
        policy: Policy,
        limits: Limits,
        system_turns: SystemTurns,
    ) -> Self {
        let mut digest = Sha256::new();
        digest.update(dataset);
        digest.update(tokenizer);
        digest.update(policy.to_string());
        for limit in [limits.min_tokens, limits.max_prompt, limits.max_total] {
            digest.update((limit as u64).to_le_bytes());
        }
        if system_turns != SystemTurns::Keep {
            digest.update(system_turns.to_string());
        }
        Self(digest.finalize().into())
    }

    /// The file of this key in a folder.
    pub fn path(self, folder: &Path) -> PathBuf {
        let name: String = self.0[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        folder.join(format!("{name}.index"))
    }
}

impl Index {
    /// Reads the file of a key; `None` where there is none that is whole and of that key.
    pub fn read(path: &Path, key: Key) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
        let expected: [u8; DIGEST] = Sha256::digest(body).into();
        let mut rest = body.strip_prefix(MAGIC)?.strip_prefix(&key.0)?;
        if digest != expected {
            return None;
        }
        let conversations = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
        let counted_by = match take(&mut rest)? {
            [ITSELF] => CountedBy::Itself,
            [KITOKEN] => CountedBy::Kitoken,
            _ => return None,
        };
        let row = |row: &[u8]| {
            let mut rest = row;
            let index = u32::from_le_bytes(take(&mut rest)?);
            let offset = u64::from_le_bytes(take(&mut rest)?);
            let prompt_tokens = u32::from_le_bytes(take(&mut rest)?);
            let output_tokens = u32::from_le_bytes(take(&mut rest)?);
            Some(Row { place: Place { index, offset }, prompt_tokens, output_tokens })
        };
        let rows: Option<Vec<Row>> = rest.chunks(ROW_BYTES).map(row).collect();
        Some(Self { conversations, counted_by, rows: rows? })
    }

    /// The bytes of its file.
    pub fn to_bytes(&self, key: Key) -> Vec<u8> {
        let counted_by = match self.counted_by {
            CountedBy::Itself => ITSELF,
            CountedBy::Kitoken => KITOKEN,
        };
        let mut bytes = [MAGIC, &key.0, &(self.conversations as u64).to_le_bytes(), &[counted_by]].concat();
        for Row { place, prompt_tokens, output_tokens } in &self.rows {
            bytes.extend(place.index.to_le_bytes());
            bytes.extend(place.offset.to_le_bytes());
            bytes.extend(prompt_tokens.to_le_bytes());
            bytes.extend(output_tokens.to_le_bytes());
        }
        let digest: [u8; DIGEST] = Sha256::digest(&bytes).into();
        bytes.extend(digest);
        bytes
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_file_of_the_same_key_is_read() {
        let key =
            |seed: u8| Key::of([seed; 32], [2; 32], Policy::FilterThenSample, Limits::default(), SystemTurns::Keep);
        let place = |index| Place { index, offset: 1 << (30 + index) };
        let rows = (0..3).map(|i| Row { place: place(i), prompt_tokens: 10 + i, output_tokens: 20 + i }).collect();
        let bytes = Index { conversations: 7, counted_by: CountedBy::Kitoken, rows }.to_bytes(key(1));
        let path = std::env::temp_dir().join(format!("tachometer-index-{}", std::process::id()));
        let read = |bytes: &[u8], key| {
            std::fs::write(&path, bytes).unwrap();
            let index = Index::read(&path, key)?;
            let rows = index.rows.iter().map(|r| (r.place.index, r.place.offset, r.prompt_tokens, r.output_tokens));
            Some((index.conversations, index.counted_by, rows.collect::<Vec<_>>()))
        };
        let expected = (7, CountedBy::Kitoken, (0..3).map(|i| (i, 1 << (30 + i), 10 + i, 20 + i)).collect());
        assert_eq!(read(&bytes, key(1)), Some(expected));
        assert_eq!(read(&bytes, key(9)), None);
        for cut in [0, 10, 40, bytes.len() - 1] {
            assert_eq!(read(&bytes[..cut], key(1)), None, "cut to {cut}");
        }
        for flipped in [0, 30, 60, bytes.len() - 40, bytes.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[flipped] ^= 1;
            assert_eq!(read(&bytes, key(1)), None, "byte {flipped}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Index::read(&path, key(1)).is_none());
    }
}
