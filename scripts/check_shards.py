"""What shards report together, beside what one process computes from the lines of all their requests and from the engine's record.
usage: check_shards.py REPORT REQUESTS RECORD"""

import json
import sys


def percentile(values, q):
    """Linear between the two nearest of the sorted values, as docs/statistics.md has it."""
    values = sorted(values)
    at = (len(values) - 1) * q
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def near(got, expected, what):
    assert abs(got - expected) <= 1e-12 * max(abs(got), abs(expected)), f"{what}: {got}, not {expected}"


report = json.load(open(sys.argv[1]))
lines = [json.loads(line) for line in open(sys.argv[2])]
record = {}
for line in open(sys.argv[3]):
    line = json.loads(line)
    record[line["request_id"]] = line
shards = report["shards"]
for number, made in enumerate(report["passes"]):
    own = sorted((line for line in lines if line["pass"] == number), key=lambda line: line["index"])
    assert [line["index"] for line in own] == list(range(report["workload"]["num_prompts"])), "a prompt is missing, or sent twice"
    done = [line for line in own if line["outcome"] == "completed"]
    assert made["completed"] == len(done) == sum(shard["completed"] for shard in made["shards"])
    assert len(made["shards"]) == shards
    duration = (max(line["end_ns"] for line in own) - min(line["sent_ns"] for line in own)) * 1e-9
    near(made["duration_s"], duration, "duration")
    near(made["rpm"], len(done) / duration * 60, "rpm")
    tokens = sum(line["output_tokens"] for line in done)
    assert made["output_tokens"] == tokens == sum(len(record[line["request_id"]]["token_ns"]) for line in done)
    near(made["output_tokens_per_s"], tokens / duration, "output tokens per second")
    begin = lambda line: line["intended_ns"] or line["sent_ns"]
    for name, end in (("ttft_s", "first_token_ns"), ("e2e_s", "end_ns")):
        latencies = [(line[end] - begin(line)) * 1e-9 for line in done]
        for q in (50, 90, 95, 99):
            near(made[name][f"p{q}"], percentile(latencies, q / 100), f"{name} p{q}")
    # The engine's own record: of when it had a request, and when it wrote the first token.
    unsure = max(shard["clock_uncertainty_s"] for shard in made["shards"]) * 1e9 + 1
    heard = [record[line["request_id"]]["received_ns"] - line["sent_ns"] for line in done]
    assert min(heard) >= -unsure, "a request was there before it was sent"
    late = [line["first_token_ns"] - record[line["request_id"]]["token_ns"][0] for line in done]
    assert min(late) >= -unsure, "a token was read before it was written"
    true = (max(record[line["request_id"]]["ended_ns"] for line in done) - min(record[line["request_id"]]["received_ns"] for line in done)) * 1e-9
    assert abs(true - duration) < 0.05 * duration, f"the engine was busy for {true} s of {duration}"
    words = f"pass {number + 1}: {len(done)} requests of {shards} shards as computed from their lines; clocks to ±{unsure / 1e3:.0f} µs"
    words += f"; first tokens read {percentile(late, 0.5) / 1e3:.0f} µs after they were written (p99 {percentile(late, 0.99) / 1e3:.0f})"
    if own[0]["intended_ns"]:
        sent = [line["sent_ns"] - line["intended_ns"] for line in own]
        words += f"; sends {percentile(sent, 0.5) / 1e6:.2f} ms (p99 {percentile(sent, 0.99) / 1e6:.2f}) after their times"
        words += f", at the engine {percentile([record[line['request_id']]['received_ns'] - line['intended_ns'] for line in done], 0.99) / 1e6:.2f} ms at p99"
    print(words)
