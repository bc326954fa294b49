#!/usr/bin/env bash
# What other tools report as time to first token, beside the server's own record of the same requests: from the receipt of each to the moment
# at which its first token was written. The server is the simulated engine, in a process of its own; 50 tokens a second a stream, and answers
# of different lengths, so that requests do not come all at once. Prints
# the table of docs/performance.md. Minutes, and PyPI; not part of the gate.
# usage: compare-ttft.sh DIR [STREAMS…]      (DIR: made, and filled; STREAMS: 64 and 256 without any)
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
root=$PWD
dir=${1:?usage: compare-ttft.sh DIR [STREAMS…]}
shift
[ $# -gt 0 ] || set -- 64 256
mkdir -p "$dir/tokenizer"
dir=$(cd "$dir" && pwd)
cargo build --quiet --release --bin tachometer --example engine
# Each has dependencies that the other does not bear.
for tool in aiperf==0.13.0 guidellm==0.8.1; do
  [ -d "$dir/${tool%%==*}" ] && continue
  python3 -m venv "$dir/${tool%%==*}"
  "$dir/${tool%%==*}/bin/pip" install --quiet --disable-pip-version-check "$tool"
done
cp fixtures/tokenizer.json "$dir/tokenizer"
echo '{"tokenizer_class": "PreTrainedTokenizerFast"}' > "$dir/tokenizer/tokenizer_config.json"

measure() { # TOOL STREAMS: with an engine of its own, whose record holds nothing else
  rm -rf "$dir/out" "$dir/record.jsonl"
  "$target/release/examples/engine" --port 0 --record "$dir/record.jsonl" --instance-num "$2" --decode-step-ms 20 --decode-per-request-us 0 \
    --jitter 0 > "$dir/engine.txt" &
  local engine=$!
  until grep -qs listening "$dir/engine.txt"; do sleep 0.1; done
  local url requests=$(($2 * 20))
  url=$(sed 's/listening on //' "$dir/engine.txt")
  case $1 in
    tachometer)
      "$target/release/tachometer" --server "$url" --tokenizer "$dir/tokenizer" --dataset "random:64:normal(64,16)" --concurrency "$2" --num-prompts "$requests" \
        --sample-size 1 --stream true --warmup 0 --metrics off --noplot --out "$dir/out"
      ;;
    aiperf)
      "$dir/aiperf/bin/aiperf" profile -m tachometer-engine --url "$url" --endpoint-type chat --streaming --concurrency "$2" \
        --request-count "$requests" --synthetic-input-tokens-mean 64 --output-tokens-mean 64 --output-tokens-stddev 16 --extra-inputs ignore_eos:true \
        --tokenizer "$dir/tokenizer" --use-server-token-count --artifact-dir "$dir/out" --ui none
      ;;
    guidellm)
      mkdir -p "$dir/out"
      "$dir/guidellm/bin/guidellm" run --backend "kind=openai_http,target=$url" --profile "kind=concurrent,streams=$2" \
        --constraint "kind=max_requests,count=$requests" --data kind=synthetic_text,prompt_tokens=64,output_tokens=64,output_tokens_stdev=16 \
        --tokenizer "kind=huggingface_auto,model=$dir/tokenizer" --output "kind=json,path=$dir/out/guidellm.json" --disable-progress
      ;;
  esac > "$dir/$1.log" 2>&1 || { cat "$dir/$1.log" && kill $engine && exit 1; }
  sleep 1
  kill $engine
  wait $engine 2> /dev/null || true
  python3 scripts/compare_ttft.py "$1" "$2" "$dir/out" "$dir/record.jsonl"
}
echo "| tool | streams | requests | reported p50 | its error | reported p99 | its error |"
echo "|---|---|---|---|---|---|---|"
for streams in "$@"; do
  for tool in tachometer aiperf guidellm; do
    measure $tool "$streams"
    measure $tool "$streams"
  done
done
