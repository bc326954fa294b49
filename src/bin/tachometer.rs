//! The program for people whose server is not written in Rust: `tachometer --server … --dataset … --tokenizer …`.

fn main() -> std::process::ExitCode {
    tachometer::Harness::program().main()
}
