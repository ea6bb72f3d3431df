"""The cluster's DNS: CoreDNS as a pod, and whether it answers."""

from __future__ import annotations

import socket
import string
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.api_client import ApiClient
from e2e.cluster.archives import COREDNS
from e2e.cluster.spec import DNS_DOMAIN, ClusterSpec

_MANIFESTS = Path(__file__).with_name("coredns.yaml")


def create_dns(spec: ClusterSpec, api: ApiClient) -> None:
    """Create the objects; the pod runs as soon as a node is there."""
    values = {"address": spec.dns_address, "domain": DNS_DOMAIN, "image": COREDNS}
    for manifest in yaml.safe_load_all(string.Template(_MANIFESTS.read_text()).substitute(values)):
        api.create(_collection(manifest), manifest)


def resolves(spec: ClusterSpec, name: str = f"kubernetes.default.svc.{DNS_DOMAIN}") -> bool:
    """Whether DNS has an address for `name`, asked at its cluster IP from this machine. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect((spec.dns_address, 53))
        client.send(_question(name))
        answer = client.recv(512)
    return (
        answer[3] & 0x0F == 0 and int.from_bytes(answer[6:8], "big") > 0
    )  # no error, and at least one answer


def _question(name: str) -> bytes:
    """A DNS query for an A record (RFC 1035, section 4): id, recursion desired, one question."""
    header = struct.pack(">6H", 0x5053, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + struct.pack(">B2H", 0, 1, 1)


def _collection(manifest: Mapping[str, Any]) -> str:
    """Path of the collection that an object of the kinds in coredns.yaml is created in."""
    group = manifest["apiVersion"]
    root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    namespace = manifest["metadata"].get("namespace")
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{where}/{manifest['kind'].lower()}s"
