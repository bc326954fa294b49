#!/usr/bin/env bash
# Changes the code in every small way that cargo-mutants knows, and expects a test to fail: what survives is listed at the end, but
# for what scripts/mutants.toml excuses with a reason. First the library's own tests of the module, seconds each; then, on what they
# have missed, the tests that go over sockets or through the command line. Not part of the gate: hours.
# usage: mutants.sh OUT [GROUP…]     (OUT: a folder for the outcomes; groups as below, all without one)
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: mutants.sh OUT [GROUP…]}
mkdir -p "$out"
out=$(cd "$out" && pwd)
shift
[ $# -gt 0 ] || set -- stats compare baseline client load sampler
cargo mutants --version > /dev/null 2>&1 || cargo install --quiet --locked cargo-mutants
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0 CARGO_TERM_COLOR=never
# In a copy, on one target directory: what is changed is the library alone, which takes two seconds to build.
copy=$out/copy
rm -rf "$copy"
git clone --quiet . "$copy"
cd "$copy"
set -f

mutate() { # NAME TIMEOUT_S "FILES" FLAGS…
  local files=()
  for file in $3; do files+=(--file "$file"); done
  # Exit codes 2 and 3: some were missed, or timed out.
  cargo mutants --in-place --no-shuffle --baseline skip --timeout "$2" --build-timeout 1200 --iterate --colors never \
    --config scripts/mutants.toml --output "$out/$1" "${files[@]}" "${@:4}" || [ $? -le 3 ]
}
for group in "$@"; do
  case $group in
    stats) files="src/stats/** src/metrics/**" own="stats:: metrics:: --skip more_often_than_the_level_allows --skip again_and_again_says_less" far="--test=statistics --test=engine" ;;
    compare) files="src/compare/**" own="compare::" far="--test=cli" ;;
    baseline) files="src/baseline/**" own="baseline::" far="--test=cli" ;;
    client)
      files="src/client/answer.rs src/client/api/** src/client/response.rs src/client/sse.rs src/client/http1.rs src/client/exchange.rs"
      own="client::" far="--test=connections --test=faults --test=mock_server"
      ;;
    load) files="src/load/**" own="load::" far="--test=load --test=open_files --test=engine --test=tls --test=cli" ;;
    sampler) files="src/dataset/sampler.rs" own="sampler" far="--test=cli" ;;
    *) echo "there is no group $group" && exit 2 ;;
  esac
  # shellcheck disable=SC2086 # the words are filters
  mutate "$group" 30 "$files" -C=--lib -- -- $own
  for target in --lib $far; do
    [ ! -s "$out/$group/mutants.out/missed.txt" ] || mutate "$group" 900 "$files" "-C=$target"
  done
done
# A change that makes tests run for ever is found too.
find "$out" -path "*/mutants.out/missed.txt" -exec cat {} + | sort
