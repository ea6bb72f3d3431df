"""Load from inside the cluster, through kube-proxy and the NetworkPolicy, counting every failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.eventually import eventually
from e2e.install import SERVICE_IMAGE, TAG
from e2e.services import Json, Services

CALLER = "traffic"
"""Service name that the pod carries; the called service has to allow it."""
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Container security context that Pod Security restricted accepts."""
_SCRIPT = Path(__file__).with_name("traffic_client.py")


@dataclass(frozen=True)
class Report:
    """What the callers saw. `failures` has one line per kind of failure with its count."""

    requests: int
    failed: int
    versions: tuple[str, ...]
    failures: tuple[str, ...]


class Traffic:
    """A running load."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def requests(self) -> int:
        """Requests so far."""
        return self._last().requests

    def stop(self) -> Report:
        """End the load and return what it saw in all."""
        self._services.kubectl("exec", CALLER, "--", "python3", "-c", "open('/tmp/stop', 'w')")

        def ended() -> Report:
            phase = self._services.get("pod", CALLER)["status"]["phase"]
            assert phase == "Succeeded", f"the traffic pod is {phase}"
            return self._last()

        return eventually(ended, timeout=30)

    def _last(self) -> Report:
        line = self._services.kubectl("logs", CALLER, "--tail=1").strip()
        assert line, "the traffic pod has said nothing yet"
        seen = json.loads(line)
        return Report(seen["requests"], seen["failed"], tuple(seen["versions"]), tuple(seen["failures"]))


@contextmanager
def traffic(
    services: Services, url: str, *, keep_alive: int = 8, fresh: int = 4, node: str = ""
) -> Iterator[Traffic]:
    """Requests to `url` (`http://host/path`) from one pod, until stopped, at most 5 minutes.

    `keep_alive` callers reuse their connection, `fresh` callers open one for each request. They run
    on `node`, or anywhere.
    """
    services.kubectl("create", "configmap", CALLER, f"--from-file=client.py={_SCRIPT}")
    services.apply_object(_pod(url, keep_alive, fresh, node))
    running = Traffic(services)

    def flowing() -> None:
        assert running.requests() > 100

    try:
        eventually(flowing, timeout=60)
        yield running
    finally:
        services.kubectl("delete", "pod", CALLER, "--grace-period=0", "--force")
        services.kubectl("delete", "configmap", CALLER)


def _pod(url: str, keep_alive: int, fresh: int, node: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": CALLER,
            "labels": {"productionservice.io/service": CALLER, "productionservice.io/component": "web"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            **({"nodeName": node} if node else {}),
            "containers": [
                {
                    "name": "client",
                    "image": f"{SERVICE_IMAGE}:{TAG}",
                    "command": ["python3", "/client/client.py", url, str(keep_alive), str(fresh)],
                    "securityContext": RESTRICTED,
                    "volumeMounts": [
                        {"name": "client", "mountPath": "/client"},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # inside the container
                    ],
                }
            ],
            "volumes": [{"name": "client", "configMap": {"name": CALLER}}, {"name": "tmp", "emptyDir": {}}],
        },
    }
