//! `--dump-workload`: what would be sent, without sending it.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::Value;

use super::{DatasetError, Digest, Message, Prompts};

/// Writes a line `{"conversation": …, "prompt_tokens": …, "output_tokens": …, "prompt": …}` for each prompt in sending order, then
/// `{"digest": …}`. Where messages go before a prompt, `before` has them: `[{"role": …, "content": …}, …]`; later turns of
/// a conversation have `turn` and `pause_s`, those of a trace `arrival_s`.
///
/// # Errors
/// [`DatasetError::Dump`] where the file can't be written.
pub fn dump_workload(path: &Path, prompts: &Prompts, digest: &Digest) -> Result<(), DatasetError> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for p in &prompts.prompts {
            // The spacing is that of Python's json.dumps, so that the lines compare as text.
            let message = |message: &Message| {
                let Message { role, content } = message;
                format!("{{\"role\": {}, \"content\": {}}}", Value::from(role.as_str()), Value::from(content.as_str()))
            };
            let before: Vec<String> = p.before.iter().map(message).collect();
            let before = match before.as_slice() {
                [] => String::new(),
                messages => format!("\"before\": [{}], ", messages.join(", ")),
            };
            let turn = match p.turn {
                0 => String::new(),
                turn => format!("\"turn\": {turn}, \"pause_s\": {}, ", p.pause.as_secs_f64()),
            };
            let arrival = match p.arrival {
                Some(arrival) => format!("\"arrival_s\": {}, ", arrival.as_secs_f64()),
                None => String::new(),
            };
            writeln!(
                file,
                "{{\"conversation\": {}, {turn}{arrival}\"prompt_tokens\": {}, \"output_tokens\": {}, {before}\"prompt\": {}}}",
                p.conversation,
                p.prompt_tokens,
                p.output_tokens,
                Value::from(p.text.as_str())
            )?;
        }
        writeln!(file, "{{\"digest\": \"{digest}\"}}")?;
        file.into_inner()?.sync_all()
    };
    write().map_err(|source| DatasetError::Dump { path: path.to_owned(), source })
}
