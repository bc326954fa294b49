//! What a shard's part of a pass gave, as a file: nothing that one shard has is lost where another is.

use std::{fs, io, path::Path};

use super::{
    link::{ShardError, decode, encode},
    message::ShardRecords,
};
use crate::files::write_whole;

/// Begins each file; another number where they change.
const MAGIC: &[u8] = b"tachometer shard records 1\n";

/// Writes a file.
///
/// # Errors
/// Where that fails.
pub fn write_records(path: &Path, records: &ShardRecords) -> Result<(), ShardError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(encode(records)?);
    write_whole(path, &bytes).map_err(|e| ShardError(e.to_string()))
}

/// Reads such a file.
///
/// # Errors
/// Where there is none, it is no such file, or it is damaged; with its name.
pub fn read_records(path: &Path) -> Result<ShardRecords, ShardError> {
    let read = || -> io::Result<ShardRecords> {
        let bytes = fs::read(path)?;
        let no_such =
            || io::Error::new(io::ErrorKind::InvalidData, "these are no records of a shard, or another version's");
        decode(bytes.strip_prefix(MAGIC).ok_or_else(no_such)?)
    };
    read().map_err(|e| ShardError(format!("{}: {e}", path.display())))
}
