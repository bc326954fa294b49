#!/usr/bin/env python3
"""Writes a trace in the shape of a public one, the same for the same seed: mooncake (JSON lines), burstgpt or azure (CSV).
usage: make_traces.py FORMAT REQUESTS REQUESTS_PER_S [SEED [GRID_MS]] > FILE      GRID_MS: times are multiples of it, as Mooncake's conversations are of 3,000"""
import datetime
import json
import random
import sys

form, requests, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
grid_ms = int(sys.argv[5]) if len(sys.argv) > 5 else 1
BLOCK = 512


def times():
    at = 0.0
    for _ in range(requests):
        yield at
        at += rng.expovariate(rate)


def lengths(prompt_mean, answer_mean):
    one = lambda mean: max(1, round(rng.lognormvariate(0, 0.8) * mean / 1.38))
    return one(prompt_mean), one(answer_mean)


def mooncake():
    # A block's id stands for all before it: conversations grow from a few common beginnings, and their last block is a part of one.
    chains, fresh = [[i] for i in range(5)], 5
    for at in times():
        ids = list(rng.choice(chains[-50:]))
        # Long ones end, and others begin.
        ids = ids if len(ids) < 6 else [rng.randrange(5)]
        for _ in range(rng.randrange(3)):
            ids.append(fresh)
            fresh += 1
        chains.append(list(ids))
        rest = rng.randrange(BLOCK + 1)
        if rest:
            ids.append(fresh)
            fresh += 1
        line = {
            "timestamp": int(at * 1000 // grid_ms * grid_ms),
            "input_length": (len(ids) - bool(rest)) * BLOCK + rest,
            "output_length": lengths(0, 180)[1],
            "hash_ids": ids,
        }
        yield json.dumps(line)


def burstgpt():
    yield "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    for number, at in enumerate(times()):
        prompt, answer = lengths(600, 250)
        answer = 0 if rng.random() < 0.02 else answer
        kind = "Conversation log" if rng.random() < 0.4 else "API log"
        model = rng.choice(["ChatGPT", "GPT-4"])
        yield f"{int(at * 1000 // grid_ms) * grid_ms / 1000},{number},{answer * 0.02:.2f},{model},{prompt},{answer},{prompt + answer},{kind}"


def azure():
    yield "TIMESTAMP,ContextTokens,GeneratedTokens\r"
    start = datetime.datetime(2023, 11, 16, 18, 15, 46)
    for at in times():
        at = int(at * 1000 / grid_ms) * grid_ms / 1000 if grid_ms > 1 else at
        moment = start + datetime.timedelta(seconds=int(at))
        prompt, answer = lengths(1155, 211)
        yield f"{moment:%Y-%m-%d %H:%M:%S}.{int(at % 1 * 1e7):07},{prompt},{answer}\r"


for line in {"mooncake": mooncake, "burstgpt": burstgpt, "azure": azure}[form]():
    print(line)
