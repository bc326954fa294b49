#!/usr/bin/env bash
# Two runs through `cargo bench`, one of them slower: exit codes, and what critcmp, cargo-benchcmp and the schemas of Bencher
# and github-action-benchmark make of the results. Needs critcmp, cargo-benchcmp, and jsonschema for $PYTHON.
# usage: PYTHON=python3 check-comparison.sh DIR      (DIR: for the outputs)
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: check-comparison.sh DIR}
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$out"
bench() {
  cargo bench --quiet --profile "${PROFILE:-bench}" --bench serving -- --quiet --concurrency 4 --num-prompts 8 --sample-size 3 --max-tokens 16 "$@"
}
expect() { # CODE FLAGS…
  local code=0
  bench "${@:2}" || code=$?
  [ "$code" = "$1" ] || { echo "exit code $code, expected $1: ${*:2}"; exit 1; }
}
slower="--engine decode_step_ms=4"
expect 0 --save-baseline gate-a
# shellcheck disable=SC2086 # the words are flags
expect 3 --baseline gate-a $slower --fail-on regression --save-requests "$out/requests.jsonl"
# shellcheck disable=SC2086
expect 0 --baseline gate-a $slower
expect 0 --baseline gate-a --fail-on regression --noise-threshold 0.9
expect 101 --baseline gate-no-such
expect 2 --gate no_such_metric
echo "critcmp:"
critcmp --target-dir "$target" base new | tee "$out/critcmp"
for column in base new; do grep -q "^group.*\b$column\b" "$out/critcmp"; done
grep -q '^sharegpt/c4/ttft_p50 .* 1\.00 ' "$out/critcmp"
critcmp --target-dir "$target" gate-a > /dev/null
for format in bencher bmf json github; do
  for baseline in gate-a new; do
    bench --load-baseline $baseline --baseline gate-a --output-format $format > "$out/$baseline.$format"
  done
done
echo "cargo benchcmp:"
cargo benchcmp "$out/gate-a.bencher" "$out/new.bencher" | tee "$out/benchcmp"
grep -q 'sharegpt/c4/ttft_p50' "$out/benchcmp"
"${PYTHON:-python3}" scripts/check_formats.py "$out" "$target/tachometer"
