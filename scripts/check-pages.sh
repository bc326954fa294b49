#!/usr/bin/env bash
# Runs benchmarks of the embedded engine (two loads, a search, conversations, requests that fail), compares them with a run before, and opens
# their pages in headless Chromium. usage: check-pages.sh [PROGRAM [SHOTS]]       PROGRAM: a built one; SHOTS: a folder for pictures
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
program=${1:-}
[ -n "$program" ] || { cargo build --quiet --bin tachometer && program=$PWD/target/debug/tachometer; }
command -v chromium > /dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium > /dev/null; } ||
  { echo "NOT CHECKED: there is no chromium here, and apt-get can't install it" && exit 0; }
fixtures=$PWD/fixtures
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit axe-core@4 ws@8 > /dev/null
cat > tachometer.toml <<TOML
stream = true
sample_size = 3
num_prompts = 40
warmup = "8"
engine = "instance_num=16,decode_step_ms=2,prefix_cache=true,report_cached=true"
[workload.chat]
dataset = "random:20:12"
concurrency = [1, 4, 16]
objective = ["ttft_p50 < 500 ms", "failed < 1 %"]
goodput = "ttft < 500 ms"
[workload.talk]
dataset = "sessions:$fixtures/sharegpt.json"
concurrency = 4
max_tokens = 8
[workload.late]
dataset = "trace:$fixtures/traces/azure.csv"
max_tokens = 8
TOML
"$program" --quiet > /dev/null 2>&1
"$program" --quiet > /dev/null 2>&1
cp -r tachometer whole
# Requests that fail, and a search.
"$program" --quiet --dataset random:20:5 --concurrency 4 --max-failures 50% --engine fault_share=0.01,decode_step_ms=2 --timeout 5 > /dev/null 2>&1
"$program" --quiet --dataset random:10:4 --find-max concurrency --objective 'e2e_p50 < 60 ms' --num-prompts 60 --precision 50% \
  --engine instance_num=8,decode_step_ms=4 > /dev/null 2>&1
mapfile -t pages < <(printf '%s\n' "$folder/whole/report/index.html"; find "$folder/tachometer" -path '*/report/index.html' | sort)
[ "${#pages[@]}" -ge 7 ] || { echo "there are only ${#pages[@]} pages" && exit 1; }
cp "$here/pages/check.mjs" .
node check.mjs ${2:+--shots "$2"} "${pages[@]}"
