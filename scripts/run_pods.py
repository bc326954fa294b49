"""Runs the pods of deploy/kubernetes/serving.yaml as processes of this machine: arguments, environment, user, files and a read-only root
as the manifest has them; the pods' names are in a hosts file. As root.
usage: run_pods.py DIR PROGRAM SERVER TOKENIZER"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import yaml

folder, program, server, tokenizer = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
shutil.rmtree(folder, ignore_errors=True)
path = pathlib.Path(__file__).resolve().parent.parent / "deploy/kubernetes/serving.yaml"
kinds = {document["kind"]: document for document in yaml.safe_load_all(path.read_text())}
job, secret = kinds["Job"], kinds["Secret"]["stringData"]
pod = job["spec"]["template"]["spec"]
container, user = pod["containers"][0], pod["securityContext"]["runAsUser"]
name, pods = job["metadata"]["name"], job["spec"]["completions"]

# What is there to be adjusted: the server, and a load that takes seconds.
config = kinds["ConfigMap"]["data"]["tachometer.toml"]
for old, new in (("http://my-server:8000", server), ("random:512:128", "random:64:16"), ("num_prompts = 2000", "num_prompts = 200")):
    assert old in config, old
    config = config.replace(old, new)
(folder / "config").mkdir(parents=True)
(folder / "config/tachometer.toml").write_text(config)
(folder / "data").mkdir()
shutil.copy(tokenizer, folder / "data/tokenizer.json")
shutil.copy(program, folder / "program")
hosts = "".join(f"127.0.0.1 {name}-{i}.{pod['subdomain']}\n" for i in range(pods))
(folder / "hosts").write_text("127.0.0.1 localhost\n" + hosts)

running = []
for i in range(pods):
    results = folder / f"results-{i}"
    results.mkdir()
    os.chown(results, user, user)
    variables = {"PATH": os.environ["PATH"], "JOB_COMPLETION_INDEX": str(i)}
    for variable in container["env"]:
        variables[variable["name"]] = secret[variable["valueFrom"]["secretKeyRef"]["key"]]
    # Nothing but the volumes can be written.
    mounts = f"""
set -e
for volume in config data results; do mkdir -p /$volume; done
mount --bind {folder}/hosts /etc/hosts
mount --bind {folder}/config /config
mount --bind {folder}/data /data
mount --bind {results} /results
cp {folder}/program /dev/shm/tachometer-{i}
mount -o remount,bind,ro /
cd {container["workingDir"]}
exec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs --bounding-set -all --inh-caps -all /dev/shm/tachometer-{i} "$@"
"""
    command = ["unshare", "--mount", "sh", "-c", mounts, "pod", *container["args"]]
    running.append(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
outputs = [process.communicate() for process in running]
for i in range(pods):
    pathlib.Path(f"/dev/shm/tachometer-{i}").unlink(missing_ok=True)
for i, (process, (out, err)) in enumerate(zip(running, outputs)):
    assert process.returncode == 0, f"pod {i}: exit code {process.returncode}\n{out}\n{err}"
    assert secret["rendezvous-token"] not in out + err
reports = [json.loads(line) for line in outputs[0][0].splitlines() if line.startswith("{")]
report = reports[-1]
assert report["shards"] == pods and report["id"] == "synthetic/c64", report["id"]
for made in report["passes"]:
    assert (made["completed"], len(made["shards"])) == (200, pods), made
assert (folder / "results-0/synthetic/c64/new/report.json").is_file()
print(f"{pods} pods measured {report['id']}: {len(report['passes'])} passes of 200 requests; the report is the last line of pod 0's log")
