#!/usr/bin/env bash
# Runs benchmarks of the embedded engine (three loads, a search, conversations, requests that fail), compares them with a run before, makes a
# history of 500 runs, spoils names with HTML and control characters, and opens all pages in headless Chromium. usage: check-pages.sh [PROGRAM [SHOTS]]       PROGRAM: a built one; SHOTS: a folder for pictures
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
program=${1:-}
[ -n "$program" ] || { cargo build --quiet --bin tachometer && program=${CARGO_TARGET_DIR:-$PWD/target}/debug/tachometer; }
command -v chromium > /dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium > /dev/null; } ||
  { echo "NOT CHECKED: there is no chromium here, and apt-get can't install it" && exit 0; }
fixtures=$PWD/fixtures
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$here/npm-install.sh" axe-core@4 ws@8
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
"${PYTHON:-python3}" "$here/check_schema.py" "$here/../docs/report.schema.json" tachometer/*/*/new/report.json
cp -r tachometer whole
# Requests that fail, and a search.
"$program" --quiet --dataset random:20:5 --concurrency 4 --max-failures 50% --engine fault_share=0.01,decode_step_ms=2 --timeout 5 > /dev/null 2>&1
"$program" --quiet --dataset random:10:4 --find-max concurrency --objective 'e2e_p50 < 60 ms' --num-prompts 60 --precision 50% \
  --engine instance_num=8,decode_step_ms=4 > /dev/null 2>&1
# A long history, and names from outside that would act if they could.
python3 "$here/pages/long_history.py" whole/history.jsonl 1 500 > long.jsonl
"$program" --report-only --history long.jsonl --out whole --quiet
cp -r whole hostile
python3 "$here/pages/hostile.py" hostile/*/*/new/report.json hostile/history.jsonl
"$program" --report-only --out hostile --quiet
commit=$(find whole/report/history/commits -name '*.html' | sort | sed -n 1p)
"${PYTHON:-python3}" "$here/check_schema.py" "$here/../docs/report.schema.json" tachometer/*/*/new/report.json
mapfile -t pages < <(
  printf '%s\n' "$folder"/whole/report/index.html "$folder"/whole/report/history/{index,chat-c1}.html "$folder/$commit" \
    "$folder"/hostile/report/index.html "$folder"/hostile/report/history/{index,chat-c1}.html "$folder"/hostile/chat/c1/report/index.html
  find "$folder/tachometer" -path '*/report/index.html' | sort
)
[ "${#pages[@]}" -ge 15 ] || { echo "there are only ${#pages[@]} pages" && exit 1; }
big=$(find "$folder" -name '*.html' -size +2M)
[ -z "$big" ] || { echo "more than 2 MB: $big" && exit 1; }
# Shown, in the terminal too: nothing acts.
for baseline in new base; do mkdir -p "hostile/chat/c1/$baseline-copy" && cp "hostile/chat/c1/new/report.json" "hostile/chat/c1/$baseline-copy/"; done
shown=$("$program" --show-history --out hostile --color never; "$program" --exact chat/c1 --load-baseline new-copy --baseline base-copy --out hostile --color never)
grep -q "stream_error" <<< "$shown" || { echo "the terminal does not show what was spoiled: $shown" && exit 1; }
if grep -q $'\x1b\|\xe2\x80\xae' <<< "$shown"; then echo "a terminal would obey a name" && exit 1; fi
cp "$here/pages/check.mjs" .
node check.mjs ${2:+--shots "$2"} "${pages[@]}"
