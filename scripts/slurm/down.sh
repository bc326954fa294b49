#!/usr/bin/env bash
# Stops what up.sh has started.
# usage: down.sh DIR
set -euo pipefail
for file in "${1:?usage: down.sh DIR}"/*.pid; do
  [ -e "$file" ] && kill "$(cat "$file")" 2> /dev/null || true
done
