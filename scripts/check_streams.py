"""Runs the shards of scripts/check-streams.sh, and compares what they read with the engine's record.
usage: check_streams.py DIR SHARDS STREAMS PROGRAM SERVER"""

import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import time

folder, shards, streams, program, server = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
root = pathlib.Path(__file__).resolve().parent.parent
command = [program, "--server", server, "--tokenizer", str(root / "fixtures/tokenizer.json"), "--dataset", "random:8:64", "--stream", "true"]
command += ["--concurrency", str(streams), "--num-prompts", str(streams), "--sample-size", "1", "--warmup", "1", "--noplot", "--metrics", "off"]
command += ["--client-threads", "1", "--save-requests", str(folder / "requests.jsonl"), "--out", str(folder / "out")]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    meet = "127.0.0.1:%d" % free.getsockname()[1]
variables = {**os.environ, "TACHOMETER_RENDEZVOUS_TOKEN": secrets.token_hex(16)}
running = []
for rank in reversed(range(shards)):
    part = ["--shard", f"{rank}/{shards}", "--rendezvous", meet] if shards > 1 else []
    output = open(folder / f"log-{rank}", "w")
    running.append((rank, subprocess.Popen([*command, *part], stdout=output, stderr=output, env=variables)))
peak = cpu = 0
for rank, process in running:
    _, status, used = os.wait4(process.pid, 0)
    peak, cpu = peak + used.ru_maxrss, cpu + used.ru_utime + used.ru_stime
    assert status == 0, (folder / f"log-{rank}").read_text()
report = json.load(open(folder / f"out/random-8-64/c{streams}/new/report.json"))
[made] = report["passes"]
assert made["completed"] == streams, made["failures"]
time.sleep(1)
record = {}
for line in open(folder / "record.jsonl"):
    line = json.loads(line)
    record[line["request_id"]] = line
late = {"first tokens": [], "last tokens": [], "ends": []}
for line in open(folder / "requests.jsonl"):
    line = json.loads(line)
    true = record[line["request_id"]]
    late["first tokens"].append(line["first_token_ns"] - true["token_ns"][0])
    # What ends the stream is written right after its last token: where both come in one read, its time is that of the end.
    late["last tokens"].append(line["last_token_ns"] - true["token_ns"][-1])
    late["ends"].append(line["end_ns"] - true["ended_ns"])
for which, errors in late.items():
    errors.sort()
    at = lambda share: errors[int(share * (len(errors) - 1))] / 1e3
    print(f"{which} read {at(0.5):.0f} µs (p50), {at(0.99):.0f} µs (p99), {at(1):.0f} µs (at most) after they were written")
print(f"{shards} shards, {streams} streams of {made['output_tokens'] // streams} tokens: {peak / streams:.1f} KB of memory a stream "
      f"({peak / 1024:.0f} MB in all), {1e6 * cpu / made['output_tokens']:.2f} µs of CPU time a token; the pass took {made['duration_s']:.1f} s")
if shards > 1:
    print("clocks known to ±%.0f µs" % (1e6 * max(shard["clock_uncertainty_s"] for shard in made["shards"])))
