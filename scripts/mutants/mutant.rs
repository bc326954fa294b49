//! Which change is on: the number in MUTANT. With MUTANT_COVER, a file gets a line for each site that was come to.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

const MOST: usize = 1 << 16;
static ON: LazyLock<usize> = LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0));
static COVER: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = std::env::var_os("MUTANT_COVER")?;
    OpenOptions::new().create(true).append(true).open(path).ok()
});
static SEEN: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];

/// The number of the change that is on, 0 for none.
pub fn at(site: usize) -> usize {
    if let Some(mut file) = COVER.as_ref()
        && !SEEN[site].swap(true, Relaxed)
    {
        _ = file.write_all(format!("{site}\n").as_bytes());
    }
    *ON
}
