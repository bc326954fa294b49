#!/usr/bin/env bash
# Many streams at 5 tokens a second each, from one process or several shards, against an engine in a process of its own: how far the stamps
# of first and last tokens lie from its record, and what a stream takes of the client's memory.
# usage: check-streams.sh SHARDS STREAMS [PROGRAM]      (PROGRAM: another build of tachometer than target/release/tachometer)
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
shards=${1:?usage: check-streams.sh SHARDS STREAMS [PROGRAM]}
streams=${2:?usage: check-streams.sh SHARDS STREAMS [PROGRAM]}
program=${3:-$target/release/tachometer}
[ $# -ge 3 ] || cargo build --quiet --release --bin tachometer --example engine
dir=$(mktemp -d)
ulimit -n "$(ulimit -H -n)"
"$target/release/examples/engine" --port 0 --record "$dir/record.jsonl" --instance-num "$streams" --decode-step-ms 200 --decode-per-request-us 0 \
  --prefill-tokens-per-s 1e12 --kv-tokens 1000000000 --jitter 0 > "$dir/engine.txt" &
engine=$!
trap 'kill $engine; rm -rf "$dir"' EXIT
until grep -qs listening "$dir/engine.txt"; do sleep 0.1; done
python3 scripts/check_streams.py "$dir" "$shards" "$streams" "$program" "$(sed 's/listening on //' "$dir/engine.txt")"
