#!/usr/bin/env bash
# A repository whose head is 5 % slower than the commit before, then equal, then 5 % faster: a small server that computes, built from
# source. `--against HEAD~1 --resolve 3%` is to tell each, so many times over; nothing may be left in the worktree or running, not after
# Ctrl-C and KILL either. Not part of the gate: a minute for each of TIMES.
# usage: check-builds.sh [TIMES]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD times=${1:-10}
cargo build --quiet --release --bin tachometer
tachometer=${CARGO_TARGET_DIR:-$root/target}/release/tachometer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
cd "$work"
git init --quiet --initial-branch main
git config user.name check && git config user.email check@localhost
mkdir src
cp "$root/fixtures/tokenizer.json" .
printf 'target\ntachometer\n' > .gitignore
printf '[package]\nname = "gateway"\nversion = "0.1.0"\nedition = "2024"\n' > Cargo.toml
cat > tachometer.toml << 'END'
dataset = "random:32:16"
tokenizer = "tokenizer.json"
stream = true
concurrency = 1
num_prompts = 40
[server.head]
build = ["cargo", "build", "--release", "--quiet"]
command = ["./target/release/gateway", "{port}"]
END
server() { # ROUNDS of a token
  cat > src/main.rs << END
//! Each token costs some rounds.
use std::{
    hint::black_box,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

const ROUNDS: u64 = $1;
END
  cat >> src/main.rs << 'END'

fn work() {
    let mut x = black_box(1u64);
    for i in 0..ROUNDS {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(i);
    }
    black_box(x);
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let (mut line, mut length, mut first) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if first.is_empty() {
                first = line.clone();
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if first.starts_with("GET") {
            let list = r#"{"data":[{"id":"m"}]}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
            write!(out, "{head}: {}\r\n\r\n{list}", list.len())?;
            continue;
        }
        let text = String::from_utf8_lossy(&body);
        let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        let tokens: u32 = text.split("\"max_tokens\":").nth(1).and_then(digits).unwrap_or(8);
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let mut send = |data: &str| write!(out, "{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
        for _ in 0..tokens {
            work();
            send(r#"{"choices":[{"index":0,"delta":{"content":" w"}}]}"#)?;
        }
        send(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#)?;
        send(&format!(r#"{{"choices":[],"usage":{{"completion_tokens":{tokens}}}}}"#))?;
        send("[DONE]")?;
        out.write_all(b"0\r\n\r\n")?;
    }
}

fn main() {
    let port = std::env::args().nth(1).unwrap();
    for stream in TcpListener::bind(format!("127.0.0.1:{port}")).unwrap().incoming() {
        let stream = stream.unwrap();
        std::thread::spawn(move || serve(stream));
    }
}
END
  cargo build --quiet --release
  git add --all && git commit --quiet --allow-empty -m "$1 rounds"
}
none_is_left() {
  [ -z "$(git status --porcelain)" ] || { git status; exit 1; }
  for _ in $(seq 100); do
    pgrep -f "release/gateway" > /dev/null || return 0
    sleep 0.1
  done
  pgrep -af "release/gateway"
  exit 1
}
# About a millisecond a token: what the way to the server takes is little beside it, so that 5 % more work are 5 % of the first token, too.
declare -A rounds=([regressed]=5275000 [no_change]=5000000 [improved]=4725000)
for expected in regressed no_change improved; do
  git checkout --quiet --orphan "$expected"
  server 5000000
  server "${rounds[$expected]}"
  for _ in $(seq "$times"); do
    began=$SECONDS
    "$tachometer" --against HEAD~1 --resolve 3% --time-budget 5m --quiet --output-format json > report.tmp 2> err.tmp ||
      { cat err.tmp; exit 1; }
    python3 - "$expected" $((SECONDS - began)) report.tmp << 'END'
import json, sys
expected, took, path = sys.argv[1:]
comparison = json.loads(open(path).readline())["comparison"]
for metric, change in comparison["metrics"].items():
    if change["gated"]:
        verdict = change["verdict"]
        how = "right" if verdict == expected else "inconclusive" if verdict == "inconclusive" else "FALSE"
        print(f"{expected}: {how}: {metric} {100 * change['change']:+.2f} % {verdict}, {comparison['pairs']} pairs, {took} s")
END
    rm report.tmp err.tmp
    none_is_left
  done
done | tee "$work/../check-builds.$$"
sort "$work/../check-builds.$$" | awk '{print $1, $2, $3}' | sort | uniq -c
rm "$work/../check-builds.$$"
for signal in INT KILL; do
  "$tachometer" --against HEAD~1 --resolve 0.1% --time-budget 5m > /dev/null 2> err.tmp &
  run=$!
  until grep -q "pass 2" err.tmp; do kill -0 $run; sleep 0.1; done
  kill "-$signal" $run
  wait $run || true
  rm err.tmp
  none_is_left
  echo "$signal: nothing is left"
done
