//! Mooncake's traces: `{"timestamp": MS, "input_length": N, "output_length": N, "hash_ids": [ID, …]}`, a request a line, with an id for each
//! block of 512 tokens of the prompt.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use super::{
    super::DatasetError,
    blocks::BLOCK_TOKENS,
    row::{Format, Row, time_ns},
};

pub(super) const FORMAT: Format = Format { is_of: |path| !super::tables::is_csv(path), read, blocks };

#[derive(Deserialize)]
struct Line {
    timestamp: f64,
    #[serde(skip)]
    at_ns: i64,
    input_length: u32,
    output_length: u32,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

fn read(path: &Path, each: &mut dyn FnMut(Row) -> Result<(), DatasetError>) -> Result<(), DatasetError> {
    let mut file = open(path)?;
    let (mut offset, mut bytes) = (0, Vec::new());
    for number in 1.. {
        let length = next(path, &mut file, &mut bytes)?;
        if length == 0 {
            break;
        }
        if !bytes.trim_ascii().is_empty() {
            let line = line(path, number, &bytes)?;
            each(Row {
                at_ns: line.at_ns,
                prompt_tokens: line.input_length,
                output_tokens: line.output_length,
                line: (offset, number),
            })?;
        }
        offset += length as u64;
    }
    Ok(())
}

fn blocks(path: &Path, rows: &[Row]) -> Result<Vec<Vec<u64>>, DatasetError> {
    let mut file = open(path)?;
    let (mut at, mut bytes) = (0, Vec::new());
    let mut ids = |row: &Row| {
        let (offset, number) = row.line;
        if at != offset {
            file.seek(SeekFrom::Start(offset)).map_err(|e| read_error(path, e))?;
        }
        at = offset + next(path, &mut file, &mut bytes)? as u64;
        Ok(line(path, number, &bytes)?.hash_ids)
    };
    rows.iter().map(&mut ids).collect()
}

fn open(path: &Path) -> Result<BufReader<File>, DatasetError> {
    Ok(BufReader::with_capacity(1 << 18, File::open(path).map_err(|e| read_error(path, e))?))
}

fn next(path: &Path, file: &mut BufReader<File>, line: &mut Vec<u8>) -> Result<usize, DatasetError> {
    line.clear();
    file.read_until(b'\n', line).map_err(|e| read_error(path, e))
}

fn line(path: &Path, number: u32, bytes: &[u8]) -> Result<Line, DatasetError> {
    let error = |why: String| DatasetError::Line { path: path.display().to_string(), line: number as usize, why };
    let mut line: Line = serde_json::from_slice(bytes).map_err(|e| {
        error(format!(
            "{e}; expected {{\"timestamp\": MS, \"input_length\": N, \"output_length\": N, \"hash_ids\": [ID, …]}}"
        ))
    })?;
    line.at_ns = time_ns(line.timestamp * 1e-3).ok_or_else(|| error(format!("{:e} is no time", line.timestamp)))?;
    let (there, tokens) = (line.hash_ids.len(), line.input_length);
    if there > 0 && there != tokens.div_ceil(BLOCK_TOKENS) as usize {
        let blocks = tokens.div_ceil(BLOCK_TOKENS);
        return Err(error(format!(
            "{tokens} tokens are {blocks} blocks of {BLOCK_TOKENS}, and it has {there} hash_ids"
        )));
    }
    Ok(line)
}

fn read_error(path: &Path, source: std::io::Error) -> DatasetError {
    DatasetError::Read { path: path.display().to_string(), source }
}
