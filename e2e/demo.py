"""`make demo`: from a bare machine to a Ready ProductionService that answers requests.

Leaves the cluster running, so that the three things to try at the end work; `make clean` takes it down.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from e2e.cluster.providers import Cluster, open_cluster
from e2e.install import install_operator, load_images
from e2e.progress import CommandError, clock, run_command, step

EXAMPLE = Path(__file__).parents[1] / "examples" / "catalog.yaml"
NAMESPACE = "shop"
SERVICE = "catalog"
_READY_WITHIN = 120.0  # seconds; a warm start takes about ten


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 it all works, 1 a step failed and said what to do, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.demo", description=__doc__, epilog="example: make demo; CLUSTER=kind make demo"
    )
    parser.parse_args(argv)
    return run_command(demo)


def demo() -> None:
    """Run every step and leave the cluster up."""
    started = time.monotonic()
    cluster = open_cluster("demo", level="node")
    with step("cluster: real Kubernetes on this machine"):
        cluster.create()
    with step("images: operator and catalog"):
        load_images(cluster)
    with step("operator: helm install"):
        install_operator(cluster)
    with step(f"kubectl apply -f examples/catalog.yaml (namespace {NAMESPACE})"):
        _apply(cluster)
    with step("waiting for Ready"):
        _wait_ready(cluster)
    _show(cluster)
    _requests(cluster)
    _try_next(cluster)
    print(f"\ndone in {clock(started)}; `make clean` takes it all down again")


def _apply(cluster: Cluster) -> None:
    manifest = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n"
    cluster.kubectl("apply", "-f", "-", input=manifest)
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", str(EXAMPLE))


def _wait_ready(cluster: Cluster) -> None:
    """Follow the Ready condition and print each change of it."""
    deadline, said = time.monotonic() + _READY_WITHIN, ""
    while time.monotonic() < deadline:
        status = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "psvc", SERVICE, "-o", "json"))
        conditions = {c["type"]: c for c in status.get("status", {}).get("conditions", [])}
        ready = conditions.get("Ready", {"status": "Unknown", "reason": "NotSeenYet", "message": ""})
        line = f"Ready={ready['status']} {ready['reason']}: {ready['message']}"
        if line != said:
            print(f"  {line}", flush=True)
            said = line
        if ready["status"] == "True":
            return
        time.sleep(0.3)
    raise CommandError(f"{SERVICE} did not become Ready in {_READY_WITHIN:.0f} s; its last word was: {said}")


def _show(cluster: Cluster) -> None:
    print("\n$ kubectl get psvc")
    print(cluster.kubectl("-n", NAMESPACE, "get", "psvc"))
    print("$ conditions")
    status = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "psvc", SERVICE, "-o", "json"))["status"]
    for condition in status["conditions"]:
        print(
            f"{condition['type']:10} {condition['status']:8} {condition['reason']:12} {condition['message']}"
        )
    print("\n$ children")
    for child in status["children"]:
        print(f"{child['kind']:24} {child['name']:24} {'as wanted' if child['ready'] else 'NOT as wanted'}")


def _requests(cluster: Cluster) -> None:
    print(f"\n$ ten requests through the Service {SERVICE}")
    with (
        cluster.port_forward(f"service/{SERVICE}", 80, "-n", NAMESPACE) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        for number in range(1, 11):
            response = client.get("/products", params={"limit": number})
            response.raise_for_status()
            print(f"GET /products  {response.status_code}  X-Request-ID {response.headers['x-request-id']}")


def _try_next(cluster: Cluster) -> None:
    kubectl = f"kubectl -n {NAMESPACE}"
    print(f"""
Try this next, in this shell:
     export KUBECONFIG={cluster.kubeconfig_path} PATH={cluster.kubectl_path.parent}:$PATH
1. Roll out another image and read why it does not come up, while the old pods serve on:
     {kubectl} patch psvc {SERVICE} --type merge -p '{{"spec":{{"image":{{"tag":"v9.9.9"}}}}}}'
     {kubectl} get psvc -w
2. Delete a child and watch it come back:
     {kubectl} delete deployment {SERVICE}; {kubectl} get deployment,psvc -w
3. Break the spec and read the refusal:
     {kubectl} patch psvc {SERVICE} --type merge -p '{{"spec":{{"image":{{"tag":"latest"}}}}}}'""")


if __name__ == "__main__":
    sys.exit(main())
