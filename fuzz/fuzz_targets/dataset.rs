//! The reader of ShareGPT files, and going back to what a scan found.
#![no_main]

use std::{path::PathBuf, sync::Arc};

use libfuzzer_sys::fuzz_target;
use once_cell::sync::Lazy;
use tachometer::{dataset::{Policy, Sampler, ShareGpt, Tokenizer}, fixtures};

static TOKENIZER: Lazy<Arc<Tokenizer>> = Lazy::new(|| Arc::new(fixtures::tokenizer().expect("the fixture")));
static FILE: Lazy<PathBuf> = Lazy::new(|| std::env::temp_dir().join(format!("tachometer-fuzz-{}", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("a temporary file");
    for policy in [Policy::FilterThenSample, Policy::ShuffleThenFilter] {
        let Ok(sampler) = Sampler::new(ShareGpt::file(&*FILE), TOKENIZER.clone(), policy) else { continue };
        for n in [1, 3] {
            if let Ok(prompts) = sampler.draw(7, n) {
                assert_eq!(prompts.len(), n);
            }
        }
    }
});
