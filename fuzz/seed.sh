#!/usr/bin/env bash
# Fills fuzz/corpus/ from the fixtures.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p corpus/{sse,response,dataset,baseline}
python3 - <<'PY'
import base64, json, pathlib

streams = pathlib.Path("../fixtures/streams")
for path in sorted(streams.glob("*/*.json")):
    capture = json.loads(path.read_text(encoding="utf-8"))
    response = capture["response"]
    if response.get("status") is None:
        continue
    name = f"{path.parent.name}--{path.stem}"
    body = b"".join(base64.b64decode(p["base64"]) if "base64" in p else p["text"].encode() for p in response["body"])
    asked = capture["request"].get("json")
    streaming = isinstance(asked, dict) and bool(asked.get("stream"))
    head = f"HTTP/1.1 {response['status']} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in response["headers"] if k.lower() not in ("content-length", "transfer-encoding"))
    framed = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"content-length: 0\r\n\r\n"
    pathlib.Path("corpus/response", name).write_bytes(bytes([6 if streaming else 7]) + head.encode() + framed)
    if streaming:
        pathlib.Path("corpus/sse", name).write_bytes(b"\x03" + body)
rows = json.loads(pathlib.Path("../fixtures/sharegpt.json").read_text(encoding="utf-8"))
for i in range(0, 60, 3):
    pathlib.Path("corpus/dataset", f"rows-{i}").write_text(json.dumps(rows[i : i + 3], ensure_ascii=i % 2 == 0), encoding="utf-8")
PY
# Reports of real runs, where there are any.
find ../target/tachometer -name '*.json' 2> /dev/null | head -20 | while read -r file; do
  cp "$file" "corpus/baseline/$(echo "$file" | md5sum | cut -c1-12)"
done
