#!/usr/bin/env bash
# A real llama.cpp server that is terminated, killed, or stopped in mid-pass: the run ends, says how the requests failed, and keeps
# the benchmark before. Stopped for a moment only, it costs nothing.
# usage: check-killed-server.sh DIR      (DIR: where scripts/real-server/install.sh installs, or has installed)
set -euo pipefail
source "$(dirname "$0")/real-server/common.sh" "${1:?usage: check-killed-server.sh DIR}"
work=$(mktemp -d)
server=
trap 'kill -CONT $server 2>/dev/null || true; kill -KILL $server 2>/dev/null || true; rm -rf "$work"' EXIT
cargo bench --quiet --profile "${PROFILE:-bench}" --bench serving --no-run
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
kept=$CARGO_TARGET_DIR/tachometer

# How many requests the server has ended.
ended() { grep -c "stop processing" "$work/server.log" || true; }

# how, exit code, failure classes that there must be one of, and no other
check() {
  local how=$1 code=$2 classes=$3 prompts=$4
  local port
  port=$(free_port)
  # Emptied here: what runs in the background empties its files only when it comes to it, and the last run's words would be read.
  : > "$work/server.log" > "$work/out" > "$work/err"
  "$root/scripts/real-server/start.sh" "$dir" "$port" > "$work/server.log" 2>&1 &
  server=$!
  cat > "$work/tachometer.toml" <<EOF
server = "127.0.0.1:$port"
tokenizer = "$dir/tokenizer.json"
stream = true
concurrency = 8
sample_size = 1
wait_ready = 60
connect_timeout = 2
first_token_timeout = 8
stall_timeout = 8
timeout = 60
[workload.before]
dataset = "random:20:20"
num_prompts = 16
[workload.during]
dataset = "random:20:100"
num_prompts = $prompts
EOF
  rm -rf "$kept/before" "$kept/during"
  cargo bench --quiet --profile "${PROFILE:-bench}" --bench serving -- --config "$work/tachometer.toml" > "$work/out" 2> "$work/err" &
  local run=$! got=0
  until grep -q "Benchmarking during/c8: pass 1/1" "$work/err"; do
    kill -0 $run 2>/dev/null || { cat "$work/err"; exit 1; }
    sleep 0.1
  done
  # Some requests of the pass have ended by then, and by far not all: the server's log says when.
  local ended_before
  ended_before=$(ended)
  until [ "$(ended)" -ge $((ended_before + 12)) ]; do
    kill -0 $run 2>/dev/null || { cat "$work/out" "$work/err"; exit 1; }
    sleep 0.1
  done
  case $how in
    STOP-CONT) kill -STOP $server; sleep 2; kill -CONT $server ;;
    *) kill "-$how" $server ;;
  esac
  wait $run || got=$?
  kill -CONT $server 2>/dev/null || true
  kill -KILL $server 2>/dev/null || true
  wait $server 2>/dev/null || true
  # cargo passes the bench target's exit code on.
  [ "$got" = "$code" ] || { echo "$how: exit code $got, expected $code"; cat "$work/out" "$work/err"; exit 1; }
  python3 - "$how" "$kept" "$classes" <<'PY' || { cat "$work/out" "$work/err"; exit 1; }
import json, pathlib, sys

how, kept, classes = sys.argv[1], pathlib.Path(sys.argv[2]), set(sys.argv[3].split())
before = json.loads((kept / "before/c8/new/report.json").read_text())["passes"][0]
assert (before["completed"], before["failed"]) == (16, 0), before
slot = "partial" if classes else "new"
during = json.loads((kept / f"during/c8/{slot}/report.json").read_text())["passes"][0]
found = set(during["failures"])
assert during["completed"] > 0 and found - {"cancelled"} <= classes and bool(found) == bool(classes), during["failures"]
print(f"{how}: {during['completed']} completed, failed {during['failures']}; the benchmark before is kept")
PY
}
check TERM 101 "reset truncated connect" 2000
check KILL 101 "reset truncated connect" 2000
check STOP 101 "timeout connect" 300
check STOP-CONT 0 "" 300
