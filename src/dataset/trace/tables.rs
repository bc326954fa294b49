//! Traces in CSV, their columns found by name: BurstGPT's, Azure's, and our own.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    super::{DatasetError, columns::Columns},
    row::{Format, Row, time_ns},
};

pub(super) const FORMAT: Format = Format { is_of: is_csv, read, blocks: |_, rows| Ok(vec![Vec::new(); rows.len()]) };

/// When a request was sent, and its two lengths.
const COLUMNS: [[&str; 3]; 3] = [
    ["arrival_s", "prompt_tokens", "output_tokens"],
    ["Timestamp", "Request tokens", "Response tokens"],
    ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
];
/// Azure's, whose times are dates; those of the others are seconds.
const DATES: usize = 2;

pub(super) fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

fn read(path: &Path, each: &mut dyn FnMut(Row) -> Result<(), DatasetError>) -> Result<(), DatasetError> {
    let mut file = Columns::open(path, &COLUMNS)?;
    let has_dates = file.set() == DATES;
    for number in 2.. {
        if !file.advance()? {
            break;
        }
        let at_ns = match has_dates {
            true => {
                date_ns(file.text(0)).ok_or_else(|| file.error(format!("`{}` is no date with a time", file.text(0))))?
            }
            false => time_ns(file.number(0, "number of seconds")?)
                .ok_or_else(|| file.error(format!("`{}` is no time", file.text(0))))?,
        };
        let (prompt_tokens, output_tokens) = (file.number(1, "number of tokens")?, file.number(2, "number of tokens")?);
        each(Row { at_ns, prompt_tokens, output_tokens, line: (0, number) })?;
    }
    Ok(())
}

/// `2023-11-16 18:15:46.6805900`, with or without the difference from UTC, in nanoseconds since 1970.
fn date_ns(text: &str) -> Option<i64> {
    // The date's own hyphens stand before it.
    let offset = text.get(10..)?.find(['+', '-']).map(|place| text.split_at(place + 10));
    let (time, east_s) = match offset {
        Some((time, offset)) => {
            let (hours, minutes) = offset[1..].split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            (time, if offset.starts_with('-') { -seconds } else { seconds })
        }
        None => (text, 0),
    };
    let time: SystemTime = humantime::parse_rfc3339_weak(time).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(i64::try_from(since.as_nanos()).ok()? - east_s * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |text: &str| date_ns(text);
        let noon = at("2024-05-10 12:00:00").unwrap();
        assert_eq!(at("2024-05-10 12:00:00.0099300"), Some(noon + 9_930_000));
        assert_eq!(at("2024-05-10 14:00:00.5+02:00"), Some(noon + 500_000_000));
        assert_eq!(at("2024-05-10T09:30:00-02:30"), Some(noon));
        assert_eq!(at("2024-05-10 12:00:00.009930+00:00"), Some(noon + 9_930_000));
        for text in ["", "12:00", "2024-05-10", "2024-13-10 12:00:00", "2024-05-10 12:00:00+2", "é".repeat(9).as_str()]
        {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
