#!/usr/bin/env bash
# What others get: the packaged file as a library without the harness, which samples prompts and streams them, and the program
# that is installed from it, in an empty folder.
# usage: check-package.sh DIR      (DIR: made, and filled)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=${1:?usage: check-package.sh DIR}
mkdir -p "$work"
work=$(cd "$work" && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cargo package --quiet --no-verify --allow-dirty
package=$(ls -t "$target"/package/tachometer-*.crate | head -1)
tar -xzf "$package" -C "$work"
unpacked=$work/$(basename "$package" .crate)

mkdir -p "$work/lean/src"
cat > "$work/lean/Cargo.toml" << END
[package]
name = "lean"
version = "0.0.0"
edition = "2024"
[dependencies]
tachometer = { path = "$unpacked", default-features = false }
tokio = { version = "1", features = ["rt-multi-thread", "macros"] }
END
# The project's own profile, so that what is built need not be built again.
sed -n '/^\[profile.dev.package\]/,$p' Cargo.toml >> "$work/lean/Cargo.toml"
cat > "$work/lean/src/main.rs" << 'END'
use std::sync::Arc;

use tachometer::{
    client::Client,
    dataset::{Policy, Sampler, ShareGpt, Tokenizer},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let tokenizer = Arc::new(Tokenizer::load(&args[2])?);
    let sampler = Sampler::new(ShareGpt::file(&args[1]), tokenizer, Policy::FilterThenSample)?;
    let mut client = Client::connect(&args[3], "tachometer-engine").await?;
    for prompt in sampler.draw(0, 5)? {
        let mut texts = 0_u32;
        let record = client.send_with(&prompt, |event| texts += u32::from(!event.text.is_empty())).await;
        record.outcome.clone()?;
        println!("{texts} tokens for a prompt of {}", prompt.prompt_tokens);
        assert!(texts > 0 && record.usage.and_then(|usage| usage.completion_tokens) == Some(texts));
    }
    Ok(())
}
END
cp Cargo.lock "$work/lean/Cargo.lock"
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
cargo build --quiet --example engine
"$target/debug/examples/engine" --port "$port" > "$work/engine.log" 2>&1 &
engine=$!
trap 'kill $engine 2> /dev/null || true' EXIT
cargo run --quiet --manifest-path "$work/lean/Cargo.toml" --target-dir "$target" -- \
  "$unpacked/fixtures/sharegpt.json" "$unpacked/fixtures/tokenizer.json" "http://127.0.0.1:$port"

cargo install --quiet --locked --debug --path "$unpacked" --root "$work/installed" --target-dir "$target"
mkdir -p "$work/empty"
cd "$work/empty"
# As a user's shell has it, which is not cargo's.
env -u CARGO_MANIFEST_DIR -u CARGO_PKG_NAME -u CARGO_TARGET_DIR "$work/installed/bin/tachometer" \
  --concurrency 4 --num-prompts 16 --sample-size 2 --out results
test -s results/sharegpt/c4/new/report.json
test -s results/profile_api_server.csv
