#!/usr/bin/env python3
"""Parses every YAML and TOML block of docs/ci.md: workflows have jobs with steps that do something. Needs PyYAML."""
import pathlib
import re
import tomllib

import yaml

text = (pathlib.Path(__file__).parent.parent / "docs/ci.md").read_text(encoding="utf-8")
workflows = 0
for kind, block in re.findall(r"^```(yaml|toml)\n(.*?)^```", text, flags=re.M | re.S):
    if kind == "toml":
        assert tomllib.loads(block), block
        continue
    parsed = yaml.safe_load(block)
    # YAML 1.1 reads `on` as true.
    if isinstance(parsed, dict) and (True in parsed or "on" in parsed):
        workflows += 1
        for job in parsed["jobs"].values():
            assert job["runs-on"] and all("uses" in step or "run" in step for step in job["steps"]), job
    else:
        assert all("uses" in step or "run" in step for step in parsed), parsed
assert workflows > 0
print(f"{workflows} workflows in docs/ci.md")
