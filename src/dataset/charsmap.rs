//! The character map that a SentencePiece model carries: its text normalization, compiled at training time.
//!
//! kitoken applies what the map's *name* stands for (NFKC and so on), which differs from the map in the file in a few
//! characters (U+200D). Python's sentencepiece applies the map, so the counts follow the map here. The format is that of
//! sentencepiece's normalizer.cc: the size of a darts-clone double array (u32, little endian), the array, then the
//! replacements, each ended by a zero byte.

pub struct CharsMap {
    trie: Vec<u32>,
    replacements: Vec<u8>,
}

impl CharsMap {
    /// The map in a model file's `precompiled_charsmap`, or `None` where the field is not one.
    pub fn parse(blob: &[u8]) -> Option<Self> {
        let (size, rest) = blob.split_first_chunk::<4>()?;
        let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        let (units, remainder) = trie.as_chunks::<4>();
        if units.is_empty() || !remainder.is_empty() {
            return None;
        }
        Some(Self {
            trie: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            replacements: replacements.to_vec(),
        })
    }

    /// Replaces, from left to right, the longest mapped prefix of what remains.
    pub fn normalize(&self, text: &str) -> String {
        let mut normalized = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            match self.longest_prefix(rest.as_bytes()) {
                Some((length, replacement)) if rest.is_char_boundary(length) => {
                    normalized.push_str(replacement);
                    rest = &rest[length..];
                }
                _ => {
                    normalized.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        normalized
    }

    fn longest_prefix(&self, text: &[u8]) -> Option<(usize, &str)> {
        let mut longest = None;
        let mut at = offset(*self.trie.first()?);
        for (i, &byte) in text.iter().enumerate() {
            at ^= usize::from(byte);
            let Some(&unit) = self.trie.get(at) else { break };
            if byte == 0 || label(unit) != u32::from(byte) {
                break;
            }
            at ^= offset(unit);
            if has_leaf(unit) {
                let Some(&leaf) = self.trie.get(at) else { break };
                longest = Some((i + 1, (leaf & 0x7FFF_FFFF) as usize));
            }
        }
        let (length, start) = longest?;
        let replacement = self.replacements.get(start..)?;
        let end = memchr::memchr(0, replacement).unwrap_or(replacement.len());
        Some((length, std::str::from_utf8(&replacement[..end]).ok()?))
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

fn label(unit: u32) -> u32 {
    unit & ((1 << 31) | 0xFF)
}

fn has_leaf(unit: u32) -> bool {
    (unit >> 8) & 1 == 1
}
