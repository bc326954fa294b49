#!/usr/bin/env bash
# Replays traces in the shapes of Mooncake's, BurstGPT's and Azure's at 200 requests a second against the embedded engine, and checks what
# was sent by scripts/check_traces.py; then says what reading a million lines takes. Not part of the gate: times are only right on an idle
# machine. usage: check-traces.sh
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release --bin tachometer
program=$PWD/target/release/tachometer
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
scripts=$PWD/scripts
cd "$folder"
for form in mooncake burstgpt azure; do
  file=$form.csv
  [ "$form" != mooncake ] || file=$form.jsonl
  python3 "$scripts/make_traces.py" "$form" 2000 200 > "$file"
  flags=(--dataset "trace:$file" --num-prompts 1900 --sample-size 2 --noplot
    --engine instance_num=1000,decode_step_ms=1,decode_per_request_us=0,prefill_tokens_per_s=100000000,kv_tokens=100000000)
  "$program" "${flags[@]}" --dump-workload workload.jsonl > /dev/null
  "$program" "${flags[@]}" --save-requests requests.jsonl > out.txt 2> err.txt || { cat err.txt && exit 1; }
  python3 "$scripts/check_traces.py" "$file" workload.jsonl requests.jsonl
  rm requests.jsonl
done
python3 "$scripts/make_traces.py" mooncake 1000000 200 > million.jsonl
python3 "$scripts/make_traces.py" azure 1000000 200 > million.csv
head -1000 million.jsonl > thousand.jsonl
for file in thousand.jsonl million.jsonl million.csv; do
  python3 - "$program" --dataset "trace:$file" --num-prompts 500 --dump-workload workload.jsonl <<'PYTHON'
import os, resource, subprocess, sys, time
begun = time.time()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
file = sys.argv[3].split(":")[1]
print(f"{file}: {os.path.getsize(file) / 1e6:.0f} MB read in {time.time() - begun:.1f} s, with at most {used.ru_maxrss / 1024:.0f} MB of memory")
PYTHON
done
