#!/usr/bin/env python3
"""Conversations on a server that has counters of its own: they agree with the client's sums to the token, and later turns find in the cache
about what an ideal one would hold. usage: check_conversations.py REPORT.json"""
import json
import sys

report = json.load(open(sys.argv[1]))
for p in report["passes"]:
    server, turns = p["server_metrics"], p["conversations"]
    assert p["failed"] == 0 and turns["completed"] == turns["started"], (p["failures"], turns["turns_not_sent"])
    assert sum(turn["completed"] for turn in turns["by_turn"]) == p["completed"], turns
    for ours, theirs in [("prompt_tokens", "prompt_tokens"), ("cached_tokens", "cached_tokens"), ("output_tokens", "generated_tokens")]:
        assert p[ours] == server[theirs], (ours, p[ours], server[theirs])
    later = [turn for turn in turns["by_turn"][1:] if turn["completed"] >= 3]
    assert later, turns
    # A model of random weights says what no tokenizer would: the server's own answers are other tokens when they come back.
    for turn in later if report["workload"]["history_from"] == "recorded" else []:
        assert turn["cached_share"] > 0.5 * turn["ideal_cached_share"], turn
    share = [f"{100 * turn['cached_share']:.0f} of {100 * turn['ideal_cached_share']:.0f} %" for turn in turns["by_turn"][:5]]
    print(report["workload"]["api"], report["workload"]["history_from"], p["prompt_tokens"], "prompt tokens, as the server counts; cached by turn:", ", ".join(share))
