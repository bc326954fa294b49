"""A row of the table of scripts/compare-ttft.sh: what a tool reports, and by how much that lies above the server's own record.
usage: compare_ttft.py TOOL STREAMS OUT RECORD"""

import glob
import json
import sys


def percentile(values, q):
    values = sorted(values)
    at = (len(values) - 1) * q
    low = int(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (at - low)


tool, streams, out, record = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]
if tool == "tachometer":
    [path] = glob.glob(f"{out}/*/c{streams}/new/report.json")
    report = json.load(open(path))
    name, ttft = f"tachometer {report['tachometer_version']}", {key: value * 1e3 for key, value in report["passes"][0]["ttft_s"].items()}
elif tool == "aiperf":
    name, ttft = "AIPerf 0.13.0", json.load(open(f"{out}/profile_export_aiperf.json"))["time_to_first_token"]
else:
    [benchmark] = json.load(open(f"{out}/guidellm.json"))["benchmarks"]
    name, ttft = "GuideLLM 0.8.1", benchmark["metrics"]["time_to_first_token_ms"]["successful"]["percentiles"]
requests = [json.loads(line) for line in open(record)]
true = [(request["token_ns"][0] - request["received_ns"]) / 1e6 for request in requests if request["token_ns"]]
cells = [name, streams, str(len(true))]
for q in (50, 99):
    reported = ttft[f"p{q}"]
    cells += [f"{reported:.2f} ms", f"{reported - percentile(true, q / 100):+.2f} ms"]
print(f"| {' | '.join(cells)} |", flush=True)
