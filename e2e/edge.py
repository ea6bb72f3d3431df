"""Requests from outside of the cluster, through the edge: by name, without DNS."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from e2e.addons.addon import Json
from e2e.cluster.providers import Cluster

LONG_AGO = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Answer:
    """What a client got over a new connection."""

    status: int
    body: str
    headers: httpx.Headers
    certificate: bytes = b""
    """Of the server, in DER; empty without TLS."""


def plain(port: int, host: str, path: str = "/", **request: Any) -> Answer:
    """A request by HTTP; a redirect is not followed. `request` says more of it: `content`, `method`, `headers`."""
    headers = {"Host": host, **request.pop("headers", {})}
    method, url = request.pop("method", "GET"), f"http://127.0.0.1:{port}{path}"
    answer = httpx.request(method, url, headers=headers, trust_env=False, **request)
    return Answer(answer.status_code, answer.text.strip(), answer.headers)


def secure(port: int, host: str, root: str, path: str = "/") -> Answer:
    """A request by HTTPS that trusts `root` (PEM) only. Raises httpx.ConnectError when the name is not proven."""
    with httpx.Client(verify=ssl.create_default_context(cadata=root), trust_env=False) as client:
        headers, extensions = {"Host": host}, {"sni_hostname": host}
        url = f"https://127.0.0.1:{port}{path}"
        with client.stream("GET", url, headers=headers, extensions=extensions) as answer:
            served = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)
            return Answer(answer.status_code, answer.read().decode().strip(), answer.headers, served)


def certificate(cluster: Cluster, namespace: str, name: str) -> Json:
    """A Certificate, once it is ready and no other is being issued."""
    found: Json = json.loads(cluster.kubectl("-n", namespace, "get", "certificate", name, "-o", "json"))
    conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", [])}
    assert conditions["Ready"]["status"] == "True", conditions["Ready"]
    assert "Issuing" not in conditions, conditions["Issuing"]
    return found


def renew(cluster: Cluster, namespace: str, name: str) -> None:
    """Ask for another certificate now, as `cmctl renew` does."""
    found = certificate(cluster, namespace, name)
    now = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test"}
    found["status"]["conditions"].append({**now, "lastTransitionTime": LONG_AGO})
    replace = ("-n", namespace, "replace", "--subresource=status", "-f", "-")
    cluster.kubectl(*replace, input=json.dumps(found))
