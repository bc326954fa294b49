#!/usr/bin/env python3
"""Checks reports against the schema. Needs jsonschema.        usage: check_schema.py SCHEMA REPORT…"""
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(f"{sys.executable} has no jsonschema: install it (pip install jsonschema), or name a Python that has it in PYTHON")

with open(sys.argv[1]) as f:
    schema = json.load(f)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    with open(path) as f:
        errors = [f"{path}: {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(json.load(f))]
    if errors:
        sys.exit("\n".join(errors))
print(f"{len(sys.argv) - 2} reports are as the schema says")
