#!/usr/bin/env bash
# Runs the server that install.sh put into DIR, in the foreground, on 127.0.0.1:PORT; its model is named tiny-qwen3.
# usage: start.sh DIR PORT [MODEL.gguf [embeddings]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "${1:?usage: start.sh DIR PORT}/venv/bin/python" "$here/server.py" "${3:-$1/tiny-qwen3.gguf}" "${2:?usage: start.sh DIR PORT}" ${4:+"$4"}
