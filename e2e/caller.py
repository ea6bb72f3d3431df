"""A pod inside the cluster that calls a service: through kube-proxy and the NetworkPolicy, as another service would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
_FOLDER = "/client"


class Caller:
    """The running pod. Its program prints a line of JSON a second, and the last one once /tmp/stop exists."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def last(self) -> Json:
        """What it has printed last."""
        line = self._services.kubectl("logs", CALLER, "--tail=1").strip()
        assert line, "the traffic pod has said nothing yet"
        return dict(json.loads(line))

    def stop(self) -> Json:
        """Tell it to end, and return what it printed at its end."""
        self._services.kubectl("exec", CALLER, "--", "python3", "-c", "open('/tmp/stop', 'w')")

        def ended() -> Json:
            phase = self._services.get("pod", CALLER)["status"]["phase"]
            assert phase == "Succeeded", f"the traffic pod is {phase}"
            return self.last()

        return eventually(ended, timeout=30)


@contextmanager
def caller(
    services: Services, command: Sequence[str], files: Mapping[str, Path], *, node: str = ""
) -> Iterator[Caller]:
    """Run `command` in the service's image, in a folder with `files` (path there → path here).

    It runs on `node`, or anywhere.
    """
    keys = {path: path.replace("/", ".") for path in files}
    sources = [f"--from-file={keys[path]}={source}" for path, source in files.items()]
    services.kubectl("create", "configmap", CALLER, *sources)
    items = [{"key": key, "path": path} for path, key in keys.items()]
    services.apply_object(_pod(command, items, node))
    try:
        yield Caller(services)
    finally:
        services.kubectl("delete", "pod", CALLER, "--grace-period=0", "--force")
        services.kubectl("delete", "configmap", CALLER)


def _pod(command: Sequence[str], items: list[dict[str, str]], node: str) -> Json:
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
                    "command": list(command),
                    "workingDir": _FOLDER,
                    "securityContext": RESTRICTED,
                    "volumeMounts": [
                        {"name": "client", "mountPath": _FOLDER},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # inside the container
                    ],
                }
            ],
            "volumes": [
                {"name": "client", "configMap": {"name": CALLER, "items": items}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }
