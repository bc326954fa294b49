//! Objectives as ordinary tests. As a `[[test]]` with `harness = false`, `cargo test` and nextest list, filter and run them:
//!
//! ```sh
//! TACHOMETER_SERVER=embedded TACHOMETER_OBJECTIVE='ttft_p50 < 1 s,failed < 5 %' cargo run --example objectives
//! ```

fn main() -> std::process::ExitCode {
    tachometer::objectives()
}
