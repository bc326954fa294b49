//! The readers of reports, calibrations and the history: what they take is written and read back as the same.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use once_cell::sync::Lazy;
use tachometer::{internals::{History, calibration_from_json, to_json}, report_from_json};

static FILE: Lazy<PathBuf> = Lazy::new(|| std::env::temp_dir().join(format!("tachometer-fuzz-{}", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(report) = report_from_json(&text) {
        let json = to_json(&report).expect("numbers from JSON are JSON's");
        assert_eq!(report_from_json(&json), Ok(report));
    }
    _ = calibration_from_json(&text);
    std::fs::write(&*FILE, bytes).expect("a temporary file");
    _ = History::at(&*FILE).read(&mut |_| {});
});
