#!/usr/bin/env python3
"""Checks what --output-format wrote against the schemas of those who read it. Needs jsonschema.

usage: check_formats.py OUTPUTS STORE     (as scripts/check-comparison.sh calls it)
"""
import json
import sys

import jsonschema

# https://bencher.dev/docs/reference/bencher-metric-format/
METRIC = {
    "type": "object",
    "required": ["value"],
    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
    "additionalProperties": False,
}
MEASURES = {"type": "object", "minProperties": 1, "additionalProperties": METRIC}
BMF = {"type": "object", "minProperties": 1, "additionalProperties": MEASURES}
# https://github.com/benchmark-action/github-action-benchmark#custom-benchmark-tools
ENTRY = {
    "type": "object",
    "required": ["name", "unit", "value"],
    "properties": {
        "name": {"type": "string"},
        "unit": {"type": "string"},
        "value": {"type": "number"},
        "range": {"type": "string"},
        "extra": {"type": "string"},
    },
    "additionalProperties": False,
}
ENTRIES = {"type": "array", "minItems": 1, "items": ENTRY}


def main():
    outputs, store = sys.argv[1:]

    def load(path):
        # NaN and Infinity are no JSON, though Python would read them.
        with open(path) as f:
            return json.load(f, parse_constant=lambda name: sys.exit(f"{path}: {name}"))

    jsonschema.validate(load(f"{outputs}/new.bmf"), BMF)
    bigger, smaller = load(f"{store}/github-bigger.json"), load(f"{store}/github-smaller.json")
    for entries in (bigger, smaller):
        jsonschema.validate(entries, ENTRIES)
    assert all(not entry["name"].endswith("per_s") for entry in smaller)
    assert all("_p" not in entry["name"].rsplit("/", 1)[1].replace("_per_s", "") for entry in bigger)
    report = load(f"{outputs}/new.json")
    verdicts = {change["verdict"] for change in report["comparison"]["metrics"].values()}
    assert verdicts <= {"regressed", "improved", "no_change", "inconclusive"}, verdicts
    print(f"bmf: {len(load(f'{outputs}/new.bmf')['sharegpt/c4'])} measures; "
          f"github: {len(bigger)} bigger, {len(smaller)} smaller; json: {len(report['comparison']['metrics'])} changes")


if __name__ == "__main__":
    main()
