#!/usr/bin/env bash
# The commands of the tables of docs/apis.md and docs/datasets.md, on the embedded engine: all is completed, and counted.
# usage: check-apis.sh DIR      (DIR: made, and filled)
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:?usage: check-apis.sh DIR}
mkdir -p "$work"
work=$(cd "$work" && pwd)
printf '{"prompt": "Name three rivers.", "output_tokens": 5}\n{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}\n' \
  > "$work/questions.jsonl"
printf 'Name three rivers.\n\nName three lakes.\n' > "$work/lines.txt"

# Most of each run is waiting for the engine: four at a time.
jobs=()
measure() { # NAME FLAGS…
  while [ "$(jobs -rp | wc -l)" -ge 4 ]; do wait -n || true; done
  run "$@" &
  jobs+=($!)
}
run() { # NAME FLAGS…
  cargo bench --quiet --profile "${PROFILE:-bench}" --bench serving -- --out "$work/$1" --concurrency 2 --sample-size 2 --quiet "${@:2}" > "$work/$1.txt"
  python3 - "$work/$1" << 'END'
import glob, json, sys
[path] = glob.glob(f"{sys.argv[1]}/*/c2/new/report.json")
report = json.load(open(path))
gives = report["workload"]["api"] not in ("embeddings", "rerank")
for p in report["passes"]:
    assert p["failed"] == 0 and p["completed"] == report["workload"]["num_prompts"], p
    assert p["output_tokens"] == p["requested_tokens"] and (p["output_tokens"] > 0) == gives, p
    assert (p["ttft_s"] is None) != (gives and report["workload"]["stream"]), p
print(report["workload"]["api"], report["workload"]["stream"], report["id"], p["completed"], "completed")
END
}
for api in chat completions responses messages ollama sglang turbomind tgi llamacpp lmdeploy; do
  for stream in true false; do
    measure "$api-$stream" --api "$api" --stream "$stream" --num-prompts 8
  done
done
measure embeddings --api embeddings --batch 4 --num-prompts 8
measure rerank --api rerank --batch 4 --num-prompts 8
measure jsonl --dataset "$work/questions.jsonl" --max-tokens 7 --num-prompts 2
measure plain --dataset "$work/lines.txt" --max-tokens 7 --num-prompts 2
measure random --dataset random:32:8 --num-prompts 8
printf 'prompt_tokens,output_tokens\n20,4\n30,6\n' > "$work/lengths.csv"
measure lengths --dataset "random:$work/lengths.csv" --num-prompts 8
measure distributions --dataset 'random:uniform(16,64):lognormal(8,0.5,40)' --num-prompts 8
measure prefix --dataset prefix:2:40:8:8 --num-prompts 8
for api in chat completions responses messages ollama; do
  measure "sessions-$api" --api "$api" --dataset sessions:fixtures/sharegpt.json --num-prompts 12
done
measure live --dataset sessions:fixtures/sharegpt.json --num-prompts 12 --history-from server
for what in keep drop send; do
  measure "system-$what" --dataset fixtures/sharegpt.json --system-turns $what --num-prompts 8
done
for job in "${jobs[@]}"; do wait "$job"; done
