#!/usr/bin/env bash
# Changes the code in every small way that cargo-mutants knows, and expects a test to fail: those that none notices are listed in
# OUT/missed.txt, but for what scripts/mutants/mutants.toml excuses with a reason. All changes are compiled into one set of tests, and each
# test is asked only about those that it comes to (scripts/mutants/run.py). Not part of the gate.
# usage: mutants.sh OUT [FILE…]     (FILE: of src/, * and ** allowed; without one, all that a wrong number can come from)
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: mutants.sh OUT [FILE…]}
mkdir -p "$out"
out=$(cd "$out" && pwd)
shift
[ $# -gt 0 ] || set -- 'src/stats/**' 'src/metrics/**' 'src/compare/**' 'src/baseline/**' 'src/load/**' src/dataset/sampler.rs 'src/client/api/**' \
  src/client/{answer,sse,http1,exchange}.rs 'src/client/response/**'
cargo mutants --version > /dev/null 2>&1 || cargo install --quiet --locked cargo-mutants
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0 CARGO_TERM_COLOR=never
CARGO_TARGET_DIR=$out/rewriter cargo build --quiet --manifest-path scripts/mutants/Cargo.toml
rm -rf "$out/copy" "$out"/{refused,cover}.json "$out/outcomes.txt" "$out/mutants.out"
git clone --quiet . "$out/copy"
files=()
for file in "$@"; do files+=(--file "$file"); done
(cd "$out/copy" && cargo mutants --list --json --config scripts/mutants/mutants.toml "${files[@]}") > "$out/list.json"
python3 scripts/mutants/run.py "$out/copy" "$out/list.json" "$out/rewriter/debug/mutants" "$out" \
  statistics properties front_door settings schema stamps engine load open_files connections faults mock_server tls cli
cat "$out/missed.txt"
