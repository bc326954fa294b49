#!/usr/bin/env python3
"""Puts HTML, quotes, bidi and control characters into every text of a report or a history that comes from outside: model, server, version,
host, branch, errors, what it was compared with, and into a history's benchmarks and commits.        usage: hostile.py FILE…"""
import json
import sys

EVIL = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">\"'&\u202e\u001b[31m</SCRIPT>"


def spoil(run):
    if "server" not in run:
        return
    run["server"].update(model=EVIL, url=EVIL, version=EVIL, embedded=False)
    run["host"]["cpu"] = EVIL
    run["commit"] = {"sha": (run.get("commit") or {}).get("sha") or "0" * 40, "dirty": False, "branch": EVIL}
    run["workload"]["dataset"] = run["command"] = run["package"] = EVIL
    for judged in run.get("objectives", []):
        judged["objective"] = EVIL
    for one in run["passes"]:
        one["failures"], one["failure_examples"] = {"stream_error": 1}, {"stream_error": EVIL}
    if run.get("comparison"):
        run["comparison"].update(baseline=EVIL, warnings=[EVIL], held_back=EVIL)


for path in sys.argv[1:]:
    if path.endswith(".jsonl"):
        lines = [json.loads(line) for line in open(path)]
        for line in lines:
            spoil(line)
            # One benchmark keeps its name, so that its page is found.
            if line.get("id", "chat/c1") != "chat/c1":
                line["id"] += EVIL
                line["commit"]["sha"] = EVIL
        open(path, "w").write("".join(json.dumps(line) + "\n" for line in lines))
    else:
        run = json.load(open(path))
        spoil(run)
        json.dump(run, open(path, "w"))
