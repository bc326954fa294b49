#!/usr/bin/env python3
"""Makes of a history of one run a long one: BENCHMARKS times RUNS lines, with steps, outliers, a second host and several commits.
usage: long_history.py HISTORY.jsonl BENCHMARKS RUNS > LONG.jsonl"""
import copy
import json
import random
import sys

lines = [json.loads(line) for line in open(sys.argv[1])]
model = next(line for line in lines if "id" in line)
model["comparison"] = None
benchmarks, runs = int(sys.argv[2]), int(sys.argv[3])
for number in range(runs):
    for benchmark in range(benchmarks):
        rng = random.Random(1000 * benchmark + number)
        run = copy.deepcopy(model)
        if benchmarks > 1:
            run["id"] = f"load/c{benchmark + 1}"
        is_slow = number > runs // 2 and benchmark % 3 == 0
        on_other_host = number % 5 == 4
        if on_other_host:
            run["host"]["cores"] = 64
        factor = (0.93 if is_slow else 1) * (1.6 if on_other_host else 1) * (1 + 0.01 * rng.gauss(0, 1))
        for name, estimate in run["estimates"].items():
            for key in ["point", "lower", "upper"]:
                if estimate[key] is not None:
                    estimate[key] = estimate[key] / factor if estimate["unit"] == "s" else estimate[key] * factor
        day = number // 4
        run["started_at"] = f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}T{6 * (number % 4):02d}:00:{benchmark:02d}Z"
        run["commit"] = {"sha": f"{(number // 2) * 2654435761 % 2**32:08x}" + "0" * 32, "dirty": number % 7 == 3, "branch": "main"}
        print(json.dumps(run))
