#!/usr/bin/env bash
# The Kubernetes manifests: beside the API's schemas, and their pods as processes of this machine, each with the environment, arguments,
# files, user and read-only root that the manifest gives it; the names of services are in a hosts file. No cluster is needed, and none is
# tried. As root, on Linux. PYTHON is one with kubernetes-validate and PyYAML.
# usage: check-kubernetes.sh DIR      (DIR: made, and filled)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
dir=${1:?usage: check-kubernetes.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cargo build --quiet --bin tachometer --example engine
"${PYTHON:-python3}" scripts/check_manifests.py
if ! unshare --mount true 2> /dev/null; then
  echo "the pods are not run: this machine gives no mount namespaces"
  exit
fi
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
"$target/debug/examples/engine" --port "$port" > "$dir/engine.log" 2>&1 &
engine=$!
trap 'kill $engine 2> /dev/null || true' EXIT
"${PYTHON:-python3}" scripts/run_pods.py "$dir/pods" "$target/debug/tachometer" "http://127.0.0.1:$port" "$root/fixtures/tokenizer.json"
