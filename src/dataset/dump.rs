//! `--dump-workload`: what would be sent, without sending it.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use super::{DatasetError, Digest, Prompts};

/// Writes a line `{"conversation": …, "prompt_tokens": …, "output_tokens": …, "prompt": …}` for each prompt in sending order, then
/// `{"digest": …}`.
///
/// # Errors
/// [`DatasetError::Dump`] where the file can't be written.
pub fn dump_workload(path: &Path, prompts: &Prompts, digest: &Digest) -> Result<(), DatasetError> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for p in &prompts.prompts {
            // The spacing is that of Python's json.dumps, so that the lines compare as text.
            writeln!(
                file,
                "{{\"conversation\": {}, \"prompt_tokens\": {}, \"output_tokens\": {}, \"prompt\": {}}}",
                p.conversation,
                p.prompt_tokens,
                p.output_tokens,
                serde_json::Value::from(p.text.as_str())
            )?;
        }
        writeln!(file, "{{\"digest\": \"{digest}\"}}")?;
        file.into_inner()?.sync_all()
    };
    write().map_err(|source| DatasetError::Dump { path: path.to_owned(), source })
}
