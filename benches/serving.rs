//! The main job: fixed-seed workloads against the configured server, or against the embedded engine where none is.

fn main() -> std::process::ExitCode {
    tachometer::main()
}
