#!/usr/bin/env python3
"""A trace that was replayed, checked by a reader of its own: each request at its recorded time, as long as it was, and equal hash ids as equal
texts. usage: check_traces.py TRACE WORKLOAD.jsonl REQUESTS.jsonl      of --dump-workload and --save-requests"""
import csv
import datetime
import json
import sys

trace, dumped, sent = sys.argv[1:4]


def rows():
    if trace.endswith(".jsonl"):
        for line in map(json.loads, open(trace)):
            yield line["timestamp"] / 1000, line["input_length"], line["output_length"], line["hash_ids"]
        return
    for line in csv.DictReader(open(trace)):
        if "TIMESTAMP" in line:
            whole, part = line["TIMESTAMP"].split(".")
            at = datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + part)
            yield at, int(line["ContextTokens"]), int(line["GeneratedTokens"]), []
        else:
            yield float(line["Timestamp"]), int(line["Request tokens"]), int(line["Response tokens"]), []


rows = [row for row in rows() if row[2]]
prompts = [json.loads(line) for line in open(dumped)][:-1]
assert 0 < len(prompts) <= len(rows), (len(prompts), len(rows))
words, differ = {}, 0
for (at, tokens, answer, ids), prompt in zip(rows, prompts):
    assert abs(prompt.get("arrival_s") - (at - rows[0][0])) < 1e-6, (prompt["arrival_s"], at)
    differ += prompt["prompt_tokens"] != tokens
    assert prompt["output_tokens"] == answer, prompt
    text = prompt["prompt"].split(" ")
    for place, block in enumerate(ids):
        mine = text[512 * place : 512 * (place + 1)]
        known = words.setdefault(block, mine)
        both = min(len(mine), len(known))
        assert mine[:both] == known[:both], block
        words[block] = max(mine, known, key=len)
assert differ == 0, differ
passes = {}
for line in map(json.loads, open(sent)):
    passes.setdefault((line["benchmark"], line["pass"]), {})[line["index"]] = line
late = []
for lines in passes.values():
    assert len(lines) == len(prompts) and all(line["outcome"] == "completed" for line in lines.values())
    for index, prompt in enumerate(prompts):
        due = (lines[index]["intended_ns"] - lines[0]["intended_ns"]) * 1e-9
        assert abs(due - prompt["arrival_s"]) < 1e-6, (due, prompt["arrival_s"])
        late.append((lines[index]["sent_ns"] - lines[index]["intended_ns"]) * 1e-6)
late.sort()
at = lambda share: late[min(len(late) - 1, int(share * len(late)))]
rate = (len(prompts) - 1) / prompts[-1]["arrival_s"]
print(f"{trace.split('/')[-1]}: {len(prompts)} requests at {rate:.0f} a second, as long as recorded; sent {at(0.5):.3f} ms late at p50, {at(0.99):.3f} ms at p99")
