#!/usr/bin/env python3
"""Checks each pass of each report against the definitions of docs/design.md, and the first one against the dumped workload too.

usage: check_report.py WORKLOAD.jsonl BENCHMARK...
"""
import json
import os
import sys


def main():
    with open(sys.argv[1]) as f:
        lines = [json.loads(line) for line in f]
    prompts, digest = lines[:-1], lines[-1]["digest"]
    asked = sum(prompt["output_tokens"] for prompt in prompts)
    root = os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "tachometer")
    for benchmark in sys.argv[2:]:
        with open(f"{root}/{benchmark}/new/report.json") as f:
            report = json.load(f)
        stream = report["workload"]["stream"]
        # Messages have no word for going on to the full length.
        ends_early = report["workload"]["api"] == "messages"
        for i, p in enumerate(report["passes"]):
            near = lambda a, b: abs(a - b) <= 1e-9 * abs(b)
            checks = {
                "all completed": (p["completed"], p["failed"]) == (len(prompts), 0),
                "the tokens of the sample": p["output_tokens"] == p["requested_tokens"] or ends_early and 0 < p["output_tokens"] < p["requested_tokens"],
                "the lengths of the sample": i > 0 or p["requested_tokens"] == asked,
                "counted by the server": p["token_source"] == "usage",
                "rpm is 60 rps": near(p["rpm"], 60 * p["rps"]),
                "rps is completed / duration": near(p["rps"], p["completed"] / p["duration_s"]),
                "throughput is tokens / duration": near(p["output_tokens_per_s"], p["output_tokens"] / p["duration_s"]),
                "first tokens only with streaming": (p["ttft_s"] is not None) == stream,
                "every request has its first token": not stream or p["ttft_s"]["count"] == p["completed"],
                "a first token takes a prefill": not stream or p["ttft_s"]["min"] > 0.0005,
                "the dumped workload was sent": digest == report["workload"]["digest"] or not (stream and report["workload"]["api"] == "chat"),
            }
            wrong = [name for name, holds in checks.items() if not holds]
            if wrong:
                sys.exit(f"{benchmark}: not so: {', '.join(wrong)}\n{json.dumps(p, indent=1)}")
            print(f"{benchmark}, pass {i}: {p['completed']} completed, {p['output_tokens']} tokens, {len(checks)} checks hold")


if __name__ == "__main__":
    main()
