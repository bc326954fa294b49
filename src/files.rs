//! Files that nobody finds half written: replaced as a whole, or grown by whole lines under a lock.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}")]
pub struct FileError {
    /// `write`, `create`, …
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, path: path.to_owned(), source }
    }
}

/// Writes a file under another name and renames it.
///
/// # Errors
/// Where that fails; what was there before is still whole then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create_parent(path)?;
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // It may not even exist.
        _ = fs::remove_file(&temporary);
        FileError::new("write", path)(e)
    })
}

/// A name as a file or an anchor can have it, whatever it is a name of.
#[cfg(feature = "harness")]
pub fn plain_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect()
}

/// Makes the folder that a file lies in.
///
/// # Errors
/// Where that fails.
pub fn create_parent(path: &Path) -> Result<(), FileError> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::create_dir_all(parent).map_err(FileError::new("create", parent)),
        None => Ok(()),
    }
}

/// Appends to a file, made where it is missing, under a lock: programs that append at once wait for one another. `lines` is told
/// whether the file is empty and may read it; what it returns goes out in one write, so that a full disk leaves no more than a
/// torn last line.
///
/// # Errors
/// Where that fails, or `lines` does: nothing is written then.
#[cfg(feature = "harness")]
pub fn append(path: &Path, lines: impl FnOnce(&mut File, bool) -> io::Result<Vec<u8>>) -> Result<(), FileError> {
    create_parent(path)?;
    let append = || -> io::Result<()> {
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        file.lock()?;
        let is_empty = file.metadata()?.len() == 0;
        let lines = lines(&mut file, is_empty)?;
        file.write_all(&lines)?;
        file.sync_data()
    };
    append().map_err(FileError::new("append to", path))
}

/// The text of a file; `None` where there is none.
///
/// # Errors
/// Where it can't be read.
#[cfg(feature = "harness")]
pub fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FileError::new("read", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        let names =
            || fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"two".to_vec(), vec![OsString::from("file")]));
        // Where a folder is in the way nothing is left behind.
        fs::create_dir_all(folder.path().join("deep/taken/x")).unwrap();
        let error = write_whole(&folder.path().join("deep/taken"), b"three").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert_eq!(names().len(), 2);
        let error = write_whole(&path.join("below"), b"four").unwrap_err();
        assert!(error.to_string().starts_with("cannot create "), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
