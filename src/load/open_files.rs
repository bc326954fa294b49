//! Each connection is an open file, and the usual limit of 1,024 is soon reached.

/// What macOS lets a process have at most, by its limits.h.
#[cfg(unix)]
const OPEN_MAX: u64 = 10_240;

/// Raises the process's limit of open files as far as the system allows without asking anybody.
pub fn raise_open_files_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};

        // Where it can't be raised, a connection that would exceed it fails, and says so. macOS calls the hard limit infinite,
        // and takes no more than OPEN_MAX.
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let wanted = [hard, 1 << 20, 1 << 16, OPEN_MAX].into_iter().filter(|most| soft < *most && *most <= hard);
            wanted.into_iter().find(|most| setrlimit(Resource::RLIMIT_NOFILE, *most, hard).is_ok());
        }
    }
}
