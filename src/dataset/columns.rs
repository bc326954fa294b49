//! CSV files whose columns are found by their names, whatever else they hold and in whatever order.

use std::{fs::File, path::Path, str::FromStr};

use super::DatasetError;

/// A file of lines, of whose columns some are read.
pub(super) struct Columns<const N: usize> {
    file: csv::Reader<File>,
    name: String,
    places: [usize; N],
    /// Which of the sets of names the file has.
    set: usize,
    record: csv::StringRecord,
}

impl<const N: usize> Columns<N> {
    /// Opens a file that has one of these sets of columns: the first that is there whole.
    ///
    /// # Errors
    /// Where it can't be read, or has none of them.
    pub fn open(path: &Path, sets: &[[&str; N]]) -> Result<Self, DatasetError> {
        let name = path.display().to_string();
        let open = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path);
        let mut file = open.map_err(|error| csv_error(&name, error))?;
        let header = file.headers().map_err(|error| csv_error(&name, error))?.clone();
        let place = |column: &str| header.iter().position(|name| name.trim_start_matches('\u{feff}') == column);
        let found = sets.iter().enumerate().find_map(|(set, columns)| {
            let places: Option<Vec<usize>> = columns.iter().map(|column| place(column)).collect();
            Some((set, places?.try_into().ok()?))
        });
        let Some((set, places)) = found else {
            let sets: Vec<String> = sets.iter().map(|columns| format!("`{}`", columns.join("` and `"))).collect();
            let why = format!("no column is named {}", sets.join(", or "));
            return Err(DatasetError::Line { path: name, line: 1, why });
        };
        Ok(Self { file, name, places, set, record: csv::StringRecord::new() })
    }

    /// The position of the set of names that it has.
    pub fn set(&self) -> usize {
        self.set
    }

    /// Goes to the next line; gives whether there is one.
    ///
    /// # Errors
    /// Where it can't be read, or has another number of fields than the first.
    pub fn advance(&mut self) -> Result<bool, DatasetError> {
        self.file.read_record(&mut self.record).map_err(|error| csv_error(&self.name, error))
    }

    /// What stands in one of the columns.
    pub fn text(&self, column: usize) -> &str {
        self.record.get(self.places[column]).unwrap_or_default()
    }

    /// The same as a number; `what` it is is told where it is none.
    ///
    /// # Errors
    /// Where it is none.
    pub fn number<T: FromStr>(&self, column: usize, what: &str) -> Result<T, DatasetError> {
        let text = self.text(column);
        text.parse().map_err(|_| self.error(format!("`{text}` is no {what}")))
    }

    /// What is wrong with the line.
    pub fn error(&self, why: String) -> DatasetError {
        let line = self.record.position().map_or(1, csv::Position::line) as usize;
        DatasetError::Line { path: self.name.clone(), line, why }
    }
}

fn csv_error(name: &str, error: csv::Error) -> DatasetError {
    let line = error.position().map_or(1, csv::Position::line) as usize;
    let path = name.to_owned();
    let why = match error.into_kind() {
        csv::ErrorKind::Io(source) => return DatasetError::Read { path, source },
        csv::ErrorKind::Utf8 { err, .. } => err.to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields, and the first line {expected_len}")
        }
        other => format!("{other:?}"),
    };
    DatasetError::Line { path, line, why }
}
