#!/usr/bin/env bash
# Replays traces in the shapes of Mooncake's, BurstGPT's and Azure's at 200 requests a second against the engine, in a process and on a core of
# its own, and checks what was sent by scripts/check_traces.py; then says what reading a million lines takes. Not part of the gate: times are
# only right on an idle machine. usage: check-traces.sh
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --release --bin tachometer --example engine
program=$target/release/tachometer
folder=$(mktemp -d)
taskset -c 1 "$target/release/examples/engine" --port 0 --instance-num 1000 --decode-step-ms 5 --decode-per-request-us 0 \
  --prefill-tokens-per-s 100000000 --kv-tokens 100000000 > "$folder/engine.txt" &
engine=$!
trap 'kill $engine; rm -rf "$folder"' EXIT
scripts=$PWD/scripts
tokenizer=$PWD/fixtures/tokenizer.json
cd "$folder"
until grep -qs listening engine.txt; do sleep 0.1; done
url=$(sed 's/listening on //' engine.txt)
for form in mooncake burstgpt azure; do
  file=$form.csv
  [ "$form" != mooncake ] || file=$form.jsonl
  python3 "$scripts/make_traces.py" "$form" 2000 200 > "$file"
  flags=(--server "$url" --tokenizer "$tokenizer" --dataset "trace:$file" --num-prompts 1900 --sample-size 2 --noplot --metrics off)
  "$program" "${flags[@]}" --dump-workload workload.jsonl > /dev/null 2>&1
  taskset -c 0 "$program" "${flags[@]}" --save-requests requests.jsonl > out.txt 2> err.txt || { cat err.txt && exit 1; }
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
