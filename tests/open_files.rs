//! A process of its own, whose limit of open files is lowered and raised again.
#![cfg(unix)]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tachometer::internals::raise_open_files_limit;

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256.min(hard), hard).unwrap();
    raise_open_files_limit();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(soft == hard || cfg!(target_os = "macos") && soft > 256, "{soft} of {hard}");
    // Once more changes nothing.
    raise_open_files_limit();
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (soft, hard));
}
