#!/usr/bin/env bash
# The main job on a real llama.cpp server by each API that it speaks, streaming and not, counts checked against the sample.
# usage: check-real-server.sh DIR      (DIR: where scripts/real-server/install.sh installs, or has installed)
set -euo pipefail
source "$(dirname "$0")/real-server/common.sh" "${1:?usage: check-real-server.sh DIR}"
port=$(free_port)
"$root/scripts/real-server/start.sh" "$dir" "$port" > "$dir/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/v1/models')" 2>/dev/null && break
  kill -0 $server 2>/dev/null || { cat "$dir/server.log"; exit 1; }
  sleep 0.2
done
measure() {
  cargo bench --quiet --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" \
    --dataset fixtures/sharegpt.json --concurrency 1,8,16 --num-prompts 40 --sample-size 1 "$@"
}
measure --stream true --dump-workload "$dir/workload.jsonl"
for how in "--stream true" "--stream false" "--stream true --api completions" "--stream false --api completions" \
  "--stream true --api responses" "--stream false --api responses" "--stream true --api messages" "--stream false --api messages" \
  "--stream true --api llamacpp" "--stream false --api llamacpp"; do
  # shellcheck disable=SC2086 # the words are flags
  measure $how
  python3 scripts/check_report.py "$dir/workload.jsonl" sharegpt/c1 sharegpt/c8 sharegpt/c16
done
# The library's own door.
model=$(python3 -c "import json, urllib.request as u; print(json.load(u.urlopen('http://127.0.0.1:$port/v1/models'))['data'][0]['id'])")
cargo run --quiet --example stream -- "http://127.0.0.1:$port" "$model" "Name three rivers." | tail -1
cargo run --quiet --example sample -- "http://127.0.0.1:$port" "$model" fixtures/sharegpt.json "$dir/tokenizer.json"
