#!/usr/bin/env python3
"""Counts good requests anew, from what --save-requests wrote of each, and compares with a report of the same run.

usage: check_goodput.py REPORT.json REQUESTS.jsonl
"""
import json
import re
import sys

UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9}


def main():
    report = json.load(open(sys.argv[1], encoding="utf-8"))
    limits = {}
    for part in report["workload"]["goodput"].split(","):
        name, number, unit = re.fullmatch(r"\s*(\w+) < ([\d.]+) (\S+)\s*", part).groups()
        limits[name] = float(number) * UNITS[unit]
    good, sent = {}, {}
    for line in open(sys.argv[2], encoding="utf-8"):
        request = json.loads(line)
        if request["benchmark"] == report["id"]:
            number = request["pass"]
            sent[number] = sent.get(number, 0) + 1
            good[number] = good.get(number, 0) + is_good(request, limits)
    for number, metrics in enumerate(report["passes"]):
        requests = metrics["completed"] + metrics["failed"]
        if (metrics["good"], requests) != (good[number], sent[number]):
            sys.exit(f"pass {number}: {metrics['good']} of {requests}, but {good[number]} of {sent[number]} here")
    share = report["estimates"]["good_share"]["point"]
    expected = sum(good[i] / sent[i] for i in good) / len(good)
    if abs(share - expected) > 1e-9:
        sys.exit(f"good_share {share}, but {expected} here")
    rates = [good[i] / metrics["duration_s"] for i, metrics in enumerate(report["passes"])]
    rate = report["estimates"]["goodput_rps"]["point"]
    expected = sum(rates) / len(rates)
    if abs(rate - expected) > 1e-9 * expected:
        sys.exit(f"goodput_rps {rate}, but {expected} here")
    print(f"{report['id']}: {sum(good.values())} good of {sum(sent.values())}, in all {len(good)} passes as here")


def is_good(request, limits):
    if request["outcome"] != "completed":
        return False
    start = request["sent_ns"] if request["intended_ns"] is None else request["intended_ns"]
    times = {"e2e": request["end_ns"] - start}
    first, last, tokens = request["first_token_ns"], request["last_token_ns"], request["output_tokens"] or 0
    if first is not None:
        times["ttft"] = first - start
        if tokens > 1 and last > first:
            times["tpot"] = (last - first) / (tokens - 1)
    known = [name for name in limits if name in times]
    return bool(known) and all(times[name] < limits[name] for name in known)


if __name__ == "__main__":
    main()
