//! Each connection is an open file, and the usual limit of 1,024 is soon reached.

/// Raises the process's limit of open files as far as the system allows without asking anybody.
pub fn raise_open_files_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};

        // Where it can't be raised, a connection that would exceed it fails, and says so.
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
            && soft < hard
        {
            _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}
