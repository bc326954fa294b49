#!/usr/bin/env bash
# Objectives as the tests of a package of one's own, under cargo test and nextest: on the embedded engine, or on the real llama.cpp server
# that scripts/real-server/install.sh has installed into REAL.
# usage: check-objectives.sh DIR [REAL]      (DIR: made, and filled)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD target=${CARGO_TARGET_DIR:-$PWD/target}
work=${1:?usage: check-objectives.sh DIR [REAL]} real=${2:-}
mkdir -p "$work/tests" "$work/src"
touch "$work/src/lib.rs"
cp Cargo.lock "$work"
cat > "$work/Cargo.toml" << END
[package]
name = "gateway"
version = "0.0.0"
edition = "2024"
[dev-dependencies]
tachometer = { path = "$root" }
[[test]]
name = "objectives"
harness = false
END
# The project's own profile, so that what is built need not be built again.
sed -n '/^\[profile.dev.package\]/,$p' Cargo.toml >> "$work/Cargo.toml"
cat > "$work/tests/objectives.rs" << 'END'
fn main() -> std::process::ExitCode {
    tachometer::objectives()
}
END
{
  if [ -n "$real" ]; then
    real=$(cd "$real" && pwd)
    printf 'dataset = "random:64:32"\ntokenizer = "%s/tokenizer.json"\nstream = true\nnum_prompts = 100\n' "$real"
    printf '[server.llamacpp]\ncommand = ["%s/scripts/real-server/start.sh", "%s", "{port}"]\n' "$root" "$real"
  else
    printf 'server = "embedded"\nengine = "decode_step_ms=1"\nnum_prompts = 90\nmax_tokens = 16\n'
  fi
  printf '[workload.chat]\nrequest_rate = 60\nobjective = ["ttft_p95 < 600 min", "tpot_p50 < 600 min", "failed < 1 %%"]\n'
  printf '[workload.batch]\nconcurrency = 4\nobjective = ["output_tokens_per_s > 1000000"]\n'
} > "$work/tachometer.toml"
cd "$work"
export CARGO_TARGET_DIR=$target
# The last one is beyond what any of these does: it is to fail, and it alone.
for tests in "cargo test --quiet --test objectives" "cargo nextest run --no-fail-fast --no-capture"; do
  echo "\$ $tests"
  ! $tests > out.txt 2> err.txt || { cat out.txt err.txt && exit 1; }
  cat out.txt err.txt
  grep -q "missed: \[" out.txt err.txt
  for name in "chat/r60: ttft_p95 < 600 min" "chat/r60: tpot_p50 < 600 min" "chat/r60: failed < 1 %" "batch/c4: output_tokens_per_s > 1000000"; do
    grep -qh "$name" out.txt err.txt || { echo "no test $name" && exit 1; }
  done
  # Each benchmark is measured once: five passes of it.
  [ "$(cat out.txt err.txt | grep -c 'pass 5/5')" = 2 ]
done
grep -q "3 passed, 1 failed" err.txt
