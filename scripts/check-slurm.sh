#!/usr/bin/env bash
# Four shards under a real Slurm of two nodes, against an engine in a process of its own: closed and open loop, through a folder and a
# port. What they report together is what one process computes from the engine's record and from the lines of all requests; the job's
# exit code is the verdict. As root, on Debian.
# usage: [RATE=150] [TOKENS=40] check-slurm.sh DIR      (RATE: requests a second of the open loop, of so many tokens; DIR: made, and filled)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
dir=${1:?usage: check-slurm.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cargo build --quiet --release --bin tachometer --example engine
# The engine has a core of its own where there are several: Slurm's daemons and all that they start have the others.
last=$(($(nproc) - 1)) of_engine=() of_slurm=()
[ $last = 0 ] || { of_engine=(taskset -c $last) && of_slurm=(taskset -c 0-$((last - 1))); }
"${of_slurm[@]}" scripts/slurm/up.sh "$dir/slurm"
export SLURM_CONF=$dir/slurm/slurm.conf
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
"${of_engine[@]}" "$target/release/examples/engine" --port "$port" --record "$dir/record.jsonl" > "$dir/engine.log" 2>&1 &
engine=$!
hosts=$(cat /etc/hosts)
trap 'kill $engine 2> /dev/null || true; scripts/slurm/down.sh "$dir/slurm"; printf "%s\n" "$hosts" > /etc/hosts' EXIT

export PROGRAM=$target/release/tachometer TACHOMETER_SERVER=http://127.0.0.1:$port
export TACHOMETER_DATASET=$root/fixtures/sharegpt.json TACHOMETER_TOKENIZER=$root/fixtures/tokenizer.json
export TACHOMETER_NUM_PROMPTS=${PROMPTS:-400} TACHOMETER_SAMPLE_SIZE=2 TACHOMETER_MAX_TOKENS=${TOKENS:-40}
job() { # NAME FLAGS…: submits it, waits for it, checks what came of it
  local name=$1 status=0
  shift
  rm -rf "$dir/$name"
  mkdir -p "$dir/$name"
  (cd "$dir/$name" && sbatch --quiet --wait --nodes=2 --ntasks=4 --cpus-per-task=1 --chdir="$dir/$name" \
    "$root/deploy/slurm/serving.sbatch" --save-requests "$dir/$name/requests.jsonl" "$@") || status=$?
  cat "$dir/$name"/tachometer-*.log
  [ $status = 0 ] || cat "$dir/$name"/tachometer/logs/*.log
  return $status
}
job closed --concurrency 16
python3 scripts/check_shards.py "$dir/closed/tachometer/sharegpt/c16/new/report.json" "$dir/closed/requests.jsonl" "$dir/record.jsonl"
# The nodes have one address here, and n1 is no name of it.
grep -q " n1$" /etc/hosts || echo "127.0.0.1 n1" >> /etc/hosts
rate=${RATE:-150}
RENDEZVOUS=port job open --request-rate "$rate" --client-threads 1
python3 scripts/check_shards.py "$dir/open/tachometer/sharegpt/r$rate/new/report.json" "$dir/open/requests.jsonl" "$dir/record.jsonl"
# The exit code of the gate is the job's.
status=0
(cd "$dir/open" && sbatch --quiet --wait --nodes=2 --ntasks=4 --cpus-per-task=1 --chdir="$dir/open" \
    "$root/deploy/slurm/serving.sbatch" --request-rate "$rate" --fail-on objective --objective "rps > 100000") || status=$?
[ $status = 4 ] || { echo "exit code $status, not that of a missed objective" && exit 1; }
echo "the job's exit code is the run's"
