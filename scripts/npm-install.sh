#!/usr/bin/env bash
# Installs packages of npm into the current folder. Tries again where the registry fails, and shows why.
# usage: npm-install.sh PACKAGE…
set -euo pipefail
[ -f package.json ] || echo '{"private": true}' > package.json
for pause in 2 10 30 60; do
  npm install --loglevel=error --no-audit --no-fund --ignore-scripts "$@" > /dev/null && exit
  echo "npm install failed; again in $pause s" >&2
  sleep "$pause"
done
npm install --loglevel=error --no-audit --no-fund --ignore-scripts "$@" > /dev/null
