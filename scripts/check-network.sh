#!/usr/bin/env bash
# Two shards in network namespaces of their own, whose only link delays packets and loses some of them (scripts/slow_link.py), and whose
# clocks differ by a second: what they say of the two clocks holds the truth in each pass, and no request is missing. As root, on Linux with
# iproute2. Not part of the gate: a minute.
# usage: check-network.sh [THERE_MS BACK_MS LOST]      (without: 1 ms each way; 5 and 5; 8 and 1; and 5 and 5 with a lost packet in fifty)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --release --bin tachometer --example engine
work=$(mktemp -d)
names=("shard0-$$" "shard1-$$")
clean_up() {
  exec 3>&- || true
  for name in "${names[@]}"; do
    ip netns pids "$name" 2> /dev/null | xargs -r kill 2> /dev/null || true
    ip netns delete "$name" 2> /dev/null || true
  done
  rm -rf "$work"
}
trap clean_up EXIT
run() { # THERE_MS BACK_MS LOST
  for name in "${names[@]}"; do ip netns add "$name"; done
  mkfifo "$work/link"
  python3 scripts/slow_link.py "${names[@]}" "$@" < "$work/link" > "$work/link.txt" &
  local link=$!
  exec 3> "$work/link"
  until grep -qs joined "$work/link.txt"; do sleep 0.1; done
  # Each has an engine at the same address, so that the link carries nothing but what shards tell one another.
  for name in "${names[@]}"; do
    ip netns exec "$name" "$target/release/examples/engine" --port 8000 > "$work/$name.txt" 2>&1 3>&- &
    until grep -qs listening "$work/$name.txt"; do sleep 0.1; done
  done
  local pids=() shift=987654321
  for rank in 0 1; do
    TACHOMETER_RENDEZVOUS_TOKEN=word TACHOMETER_TEST_CLOCK_SHIFT_NS=$((rank * shift)) ip netns exec "${names[$rank]}" \
      "$target/release/tachometer" --server http://127.0.0.1:8000 --dataset "$root/fixtures/sharegpt.json" \
      --tokenizer "$root/fixtures/tokenizer.json" --shard "$rank/2" --rendezvous 10.99.0.1:7000 --out "$work/out$rank" \
      --request-rate 500 --num-prompts 8 --sample-size 20 --max-tokens 2 --warmup 2 --noplot --quiet > "$work/shard$rank.txt" 2>&1 3>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || { cat "$work"/shard?.txt && exit 1; }; done
  python3 - "$work/out0/sharegpt/r500/new/report.json" "$shift" "$@" <<'PYTHON'
import json, sys
passes, shift_s = json.load(open(sys.argv[1]))["passes"], int(sys.argv[2]) * 1e-9
assert len(passes) == 20 and all(made["completed"] == 8 for made in passes), passes
clocks = [(made["shards"][1]["clock_offset_s"] + shift_s, made["shards"][1]["clock_uncertainty_s"]) for made in passes]
held = sum(abs(error) <= unsure + 1e-9 for error, unsure in clocks)
there, back, lost = sys.argv[3:]
print(f"{there} ms there, {back} ms back, {float(lost):.0%} lost: {held} of {len(clocks)} hold the truth; wrong by up to "
      f"{1e3 * max(abs(error) for error, _ in clocks):.2f} ms, said to be unsure by {1e3 * min(unsure for _, unsure in clocks):.2f} to "
      f"{1e3 * max(unsure for _, unsure in clocks):.2f} ms")
assert held == len(clocks)
PYTHON
  exec 3>&-
  wait $link
  for name in "${names[@]}"; do
    ip netns pids "$name" | xargs -r kill
    ip netns delete "$name"
  done
  rm -rf "$work"/*
}
if [ $# -gt 0 ]; then
  run "$@"
else
  run 1 1 0
  run 5 5 0
  run 8 1 0
  run 5 5 0.02
fi
