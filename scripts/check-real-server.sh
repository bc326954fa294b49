#!/usr/bin/env bash
# The main job on a real llama.cpp server by each API that it speaks, streaming and not, counts checked against the sample.
# usage: check-real-server.sh DIR      (DIR: where scripts/real-server/install.sh installs, or has installed)
set -euo pipefail
source "$(dirname "$0")/real-server/common.sh" "${1:?usage: check-real-server.sh DIR}"
profile=${PROFILE:-bench} reports=${CARGO_TARGET_DIR:-target}/tachometer
start() { # FLAGS… of start.sh after the port; sets `port` and `server`
  port=$(free_port)
  "$root/scripts/real-server/start.sh" "$dir" "$port" "$@" > "$dir/server.log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/v1/models')" 2> /dev/null && return
    kill -0 $server 2> /dev/null || break
    sleep 0.2
  done
  cat "$dir/server.log"
  exit 1
}
trap 'kill $server 2> /dev/null || true' EXIT
start
measure() { # FLAGS…
  cargo bench --quiet --profile "$profile" --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" \
    --dataset fixtures/sharegpt.json --num-prompts 40 --sample-size 1 "$@"
}
measure --concurrency 1,8,16 --stream true --dump-workload "$dir/workload.jsonl"
measure --concurrency 1,8,16 --stream true
python3 scripts/check_report.py "$dir/workload.jsonl" sharegpt/c1 sharegpt/c8 sharegpt/c16
for how in "--stream false" "--stream true --api completions"; do
  # shellcheck disable=SC2086 # the words are flags
  measure --concurrency 16 $how
  python3 scripts/check_report.py "$dir/workload.jsonl" sharegpt/c16
done
# Goodput, counted anew from what is saved of each request. The limits are what was usual a moment ago: some keep them, some don't.
rm -f "$dir/requests.jsonl"
read -r ttft tpot e2e timeout < <(python3 - "$reports/sharegpt/c8/new/report.json" << 'END'
import json, sys
p = json.load(open(sys.argv[1]))["passes"][0]
print(*(p[name]["p50"] for name in ("ttft_s", "tpot_s", "e2e_s")), p["e2e_s"]["p90"])
END
)
cargo bench --quiet --profile "$profile" --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" \
  --dataset fixtures/sharegpt.json --concurrency 8 --num-prompts 24 --sample-size 3 --stream true \
  --goodput "ttft < $ttft s, tpot < $tpot s, e2e < $e2e s" --timeout "$timeout" --max-failures 100% --save-requests "$dir/requests.jsonl"
python3 scripts/check_goodput.py "$reports/sharegpt/c8/new/report.json" "$dir/requests.jsonl"
# Conversations: the server's own counters agree with the client's sums to the token.
for how in "--history-from recorded" "--history-from server --think-time 0.05" "--api responses" "--api completions"; do
  # shellcheck disable=SC2086 # the words are flags
  cargo bench --quiet --profile "$profile" --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" --cache-bust \
    --dataset sessions:fixtures/sharegpt.json --max-context 1900 --concurrency 4 --num-prompts 24 --sample-size 2 --stream true $how > "$dir/conversations"
  python3 scripts/check_conversations.py "$reports/sessions-sharegpt/c4/new/report.json"
done
# A sweep of passes that go on for a time.
cargo bench --quiet --profile "$profile" --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" --dataset random:64:32 \
  --concurrency sweep:1..4 --duration 2s --warmup 1s --sample-size 2 --stream true > "$dir/sweep"
cat "$dir/sweep"
grep -q "^random-64-32/sweep-concurrency$" "$dir/sweep" && grep -q "^  c2 " "$dir/sweep"
# The other APIs, three passes each.
passes() {
  cargo bench --quiet --profile "$profile" --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" \
    --dataset fixtures/sharegpt.json --concurrency 8 --num-prompts 6 --sample-size 3 "$@"
}
passes --dump-workload "$dir/workload.jsonl"
for api in responses messages llamacpp; do
  for stream in true false; do
    passes --api $api --stream $stream
    python3 scripts/check_report.py "$dir/workload.jsonl" sharegpt/c8
  done
done
# The library's own door.
model=$(python3 -c "import json, urllib.request as u; print(json.load(u.urlopen('http://127.0.0.1:$port/v1/models'))['data'][0]['id'])")
cargo run --quiet --example stream -- "http://127.0.0.1:$port" "$model" "Name three rivers." | tail -1
cargo run --quiet --example sample -- "http://127.0.0.1:$port" "$model" fixtures/sharegpt.json "$dir/tokenizer.json"
# What gives no tokens: three passes of four inputs a request.
kill $server
wait $server 2> /dev/null || true
start "$dir/tiny-qwen3.gguf" embeddings
cargo bench --quiet --profile "$profile" --bench serving -- --server "http://127.0.0.1:$port" --tokenizer "$dir/tokenizer.json" --api embeddings \
  --dataset random:100:1 --batch 4 --concurrency 4 --num-prompts 20 --sample-size 3
python3 - "$reports/random-100-1/c4/new/report.json" << 'END'
import json, sys
for p in json.load(open(sys.argv[1]))["passes"]:
    assert (p["completed"], p["failed"], p["output_tokens"], p["ttft_s"]) == (20, 0, 0, None), p
    assert p["prompt_tokens"] == 20 * 400, p
END
