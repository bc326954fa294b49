#!/usr/bin/env bash
# Searches for the most load that the embedded engine holds, whose capacity is known by construction: 8 slots, each of which an answer of
# 8 tokens takes for 8 steps of 5 ms, so 200 requests/s. A client more than there are slots waits 5 ms for one, and up to two steps for its
# first token, so that 20 ms allow for 9 clients. So many searches for each, each with another seed, with one objective and with three; then
# an engine of 5 % less capacity, searched to 2 %. Not part of the gate: more than a minute for each of TIMES.
# usage: check-boundary.sh [TIMES]
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:-20}
cargo build --quiet --release --bin tachometer
tachometer=${CARGO_TARGET_DIR:-$PWD/target}/release/tachometer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# The engine of a step of MS; what is searched for; the other flags. Writes the report, a line.
search() { # MS WHAT FLAG…
  "$tachometer" --engine "instance_num=8,decode_step_ms=$1,decode_per_request_us=0,prefill_tokens_per_s=100000000,jitter=0" \
    --dataset random:16:8 --find-max "$2" --arrival constant --quiet --output-format json "${@:3}" 2> err || { cat err >&2; exit 1; }
}
for what in rate concurrency; do
  for objectives in 'ttft_p90 < 20 ms' 'ttft_p90 < 20 ms,e2e_p90 < 80 ms,failed < 5 %'; do
    for seed in $(seq "$times"); do
      began=$SECONDS
      search 5 "$what" --num-prompts 100 --objective "$objectives" --seed "$((seed * 10000))" > report
      python3 - "$what" "$objectives" $((SECONDS - began)) << 'END'
import json, sys
what, objectives, took = sys.argv[1:]
boundary = json.loads(open("report").readline())["boundary"]
low, high = boundary["highest_met"], boundary["lowest_missed"]
truth, precision = {"rate": 200, "concurrency": 9}[what], boundary["precision"]
right = low <= truth * (1 + precision) and high >= truth / (1 + precision) and (high / low <= (1 + precision) ** 2 or high - low <= 1)
number = len(objectives.split(","))
passes = sum(point["passes"] for point in boundary["points"])
print(f"{what} {number}: {'right' if right else 'WRONG'}: [{low} {high}], {passes} passes, {took} s")
END
    done
  done
done | tee all
for i in $(seq $((times / 10 + 1))); do
  rm -rf tachometer
  for step in 5 5.25; do
    search "$step" rate --num-prompts 200 --objective 'ttft_p90 < 20 ms' --precision 2% --seed "$((i * 10000))" > report
  done
  python3 - << 'END'
import json
boundary = json.loads(open("report").readline())["boundary"]
moved = boundary["comparison"]
print(f"5 % less: {moved['verdict']}: [{moved['highest_met']} {moved['lowest_missed']}] to [{boundary['highest_met']} {boundary['lowest_missed']}]")
END
done | tee -a all
cut -d: -f1,2 all | sort | uniq -c
