#!/usr/bin/env bash
# Two real llama.cpp servers of the same build and model, measured in turn, so many times over: what the verdicts say, where nothing
# differs.
# usage: check-in-turn.sh DIR [TIMES [RESTART [PASSES]]]   (DIR: where scripts/real-server/install.sh installs, or has installed)
set -euo pipefail
source "$(dirname "$0")/real-server/common.sh" "${1:?usage: check-in-turn.sh DIR [TIMES [RESTART [PASSES]]]}"
times=${2:-5} restart=${3:-never} passes=${4:-6}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
one() { # NAME
  printf '[server.%s]\ncommand = ["%s", "%s", "{port}"]\nrestart = "%s"\n' "$1" "$root/scripts/real-server/start.sh" "$dir" "$restart"
}
{
  printf 'tokenizer = "%s"\ndataset = "random:64:32"\nstream = true\nconcurrency = 8\nnum_prompts = 48\nsample_size = %s\n' \
    "$dir/tokenizer.json" "$passes"
  one head
  one base
} > "$work/tachometer.toml"
for i in $(seq "$times"); do
  cargo bench --quiet --bench serving -- --config "$work/tachometer.toml" --against base --discard-baseline --output-format json \
    --out "$work/out" 2> /dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    comparison = json.loads(line)["comparison"]
    for metric, change in comparison["metrics"].items():
        if change["gated"]:
            print(metric, change["verdict"], "%+.2f %% [%+.2f %+.2f]" % tuple(100 * change[key] for key in ("change", "lower", "upper")))'
done | tee "$work/all"
sort "$work/all" | awk '{print $1, $2}' | uniq -c
