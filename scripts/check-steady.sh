#!/usr/bin/env bash
# Runs what depends on time most, over and over, on an idle machine and beside three busy loops: none may ever fail. Not part of
# the gate; takes some 40 minutes.
# usage: check-steady.sh [TIMES] [WHOLE]     (TIMES: of tests/engine.rs and the accuracy benchmark, 200; WHOLE: of cargo test, 5)
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:-200} whole=${2:-5}
export CARGO_TERM_COLOR=never
busy=()
said=$(mktemp)
trap 'kill "${busy[@]}" 2>/dev/null || true; rm -f "$said"' EXIT
executable() { # CARGO ARGUMENTS…
  cargo "$@" --no-run --message-format json 2> /dev/null |
    python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])'
}
engine=$(executable test --test engine)
accuracy=$(executable bench --bench accuracy)
export CARGO_MANIFEST_DIR=$PWD
over_and_over() { # NAME COMMAND…
  for i in $(seq "$times"); do
    "${@:2}" > "$said" 2>&1 || { echo "$1: run $i of $times failed"; cat "$said"; exit 1; }
  done
  echo "$1: $times runs, none failed ($SECONDS s)"
}
all() {
  over_and_over "tests/engine.rs, $1" "$engine"
  over_and_over "accuracy --test, $1" "$accuracy" --test
}
all idle
for _ in 1 2 3; do
  (while :; do :; done) &
  busy+=($!)
done
all "beside three busy loops"
for i in $(seq "$whole"); do
  cargo test --quiet > "$said" 2>&1 || { echo "cargo test: run $i of $whole failed"; tail -100 "$said"; exit 1; }
  echo "cargo test beside three busy loops: $i of $whole ($SECONDS s)"
done
