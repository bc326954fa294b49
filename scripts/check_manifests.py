"""The Kubernetes manifests beside the API's own schemas, and their names beside one another.
usage: check_manifests.py [VERSION]      (needs kubernetes-validate and PyYAML)"""

import pathlib
import sys

import kubernetes_validate
import yaml

path = pathlib.Path(__file__).resolve().parent.parent / "deploy/kubernetes/serving.yaml"
version = sys.argv[1] if len(sys.argv) > 1 else "1.31"
documents = list(yaml.safe_load_all(path.read_text()))
for document in documents:
    kubernetes_validate.validate(document, version, strict=True)
kinds = {document["kind"]: document for document in documents}
job, service = kinds["Job"], kinds["Service"]
pod = job["spec"]["template"]["spec"]
arguments = dict(argument[2:].split("=", 1) for argument in pod["containers"][0]["args"])
name, subdomain, port = job["metadata"]["name"], pod["subdomain"], service["spec"]["ports"][0]["port"]
assert subdomain == service["metadata"]["name"], "pods have names in the domain of the service"
assert arguments["rendezvous"] == f"{name}-0.{subdomain}:{port}", "the rendezvous is pod 0"
assert int(arguments["shards"]) == job["spec"]["completions"] == job["spec"]["parallelism"], "all shards run at once"
assert service["spec"]["selector"] == {"job-name": name} and service["spec"]["publishNotReadyAddresses"]
print(f"{len(documents)} manifests are as Kubernetes {version} wants them")
