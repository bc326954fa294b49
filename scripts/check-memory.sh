#!/usr/bin/env bash
# What a thousand conversations of twenty turns of a thousand tokens cost the client, in memory and in CPU time a token, beside as many prompts
# of one turn, against the engine in a process of its own. Not part of the gate: minutes. usage: check-memory.sh [CONVERSATIONS]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
conversations=${1:-1000}
cargo build --quiet --release --bin tachometer --example engine
program=$target/release/tachometer
tokenizer=$PWD/fixtures/tokenizer.json
folder=$(mktemp -d)
"$target/release/examples/engine" --port 0 --instance-num 64 --decode-step-ms 0 --decode-per-request-us 0 --prefill-tokens-per-s 1e12 \
  --kv-tokens 1000000000 --jitter 0 > "$folder/engine.txt" &
engine=$!
trap 'kill $engine; rm -rf "$folder"' EXIT
until grep -qs listening "$folder/engine.txt"; do sleep 0.1; done
url=$(sed 's/listening on //' "$folder/engine.txt")
cd "$folder"
python3 - "$conversations" > sessions.json <<'PYTHON'
import json, random, sys
rng = random.Random(0)
words = "the of and to in is that for it as was with be by on not he his but at are this have from or had".split()
text = lambda n: " ".join(rng.choices(words, k=n))
turns = lambda: [{"role": role, "content": text(500)} for _ in range(20) for role in ("user", "assistant")]
json.dump([{"id": str(i), "messages": turns()} for i in range(int(sys.argv[1]))], sys.stdout)
PYTHON
prompts=$((conversations * 20))
for dataset in sessions:sessions.json random:500:500; do
  rm -rf tachometer
  python3 - "$program" --server "$url" --tokenizer "$tokenizer" --dataset "$dataset" --num-prompts "$prompts" --concurrency 64 --stream true \
    --sample-size 1 --warmup 1 --noplot --metrics off --quiet <<'PYTHON'
import glob, json, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
[report] = glob.glob("tachometer/*/c64/new/report.json")
[p] = json.load(open(report))["passes"]
assert p["failed"] == 0, p["failures"]
print(f"{sys.argv[7]}: {p['completed']} requests, {p['prompt_tokens']:,} prompt tokens, {p['output_tokens']:,} output tokens: "
      f"{used.ru_maxrss / 1024:.0f} MB at most, {1e6 * p['client']['cpu_s'] / p['output_tokens']:.2f} µs of the client's CPU time an output token")
PYTHON
done
