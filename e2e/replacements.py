"""All pods of a service replaced, again and again, while two hundred connections of eight kinds lead to its Service.

The clients are those of `python -m benchmarks.service drain`, in a pod, for at most 15 minutes. They call the
ClusterIP, so kube-proxy decides which pod a new connection gets, and learns of a leaving pod when it does.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.caller import CALLER, Caller, caller
from e2e.eventually import eventually
from e2e.services import Json, Services
from tests.service.eight_kinds import Answers

SERVICE = "drain"
PODS = 3
_ROOT = Path(__file__).parents[1]
_CLIENT = "tests/service/eight_kinds.py"
_CLIENT_FILES = {path: _ROOT / path for path in (_CLIENT, "tests/service/clients.py")}
_APP = _ROOT / "tests" / "service" / "drain_app.py"
_FOLDER = "/drain"
_PRODKIT: Json = {"command": ["python3", f"{_FOLDER}/drain_app.py"]}
_STOCK = (
    "import uvicorn; from drain_app import app; "
    "uvicorn.run(app, host='0.0.0.0', port=8000, access_log=False, log_level='error')"
)
STOCK: Json = {
    "command": ["python3", "-c", _STOCK],
    "probes": {"port": 8000, "startupPath": "/fast", "readinessPath": "/fast", "livenessPath": "/fast"},
}
"""Fields of a ProductionService that has the same application on uvicorn as it comes: what most services do."""


class Replacements:
    """The service and its clients, both running."""

    def __init__(self, services: Services, clients: Caller) -> None:
        self._services = services
        self._clients = clients
        self._rollouts = itertools.count(1)
        self.replaced = 0
        """Pods that have left."""

    def roll(self) -> None:
        """Replace every pod, and wait until the old ones are gone."""
        before = _uids(self._services)
        self._services.patch({"env": _environment(next(self._rollouts))}, SERVICE)
        self._services.wait_ready(SERVICE, within=180)

        def gone() -> None:
            assert not before & _uids(self._services)

        eventually(gone, timeout=90)
        self.replaced += len(before)

    def stop(self) -> dict[str, Answers]:
        """End the clients. What the requests of each kind, and those that are still without an answer, came to."""
        return _by_kind(self._clients.stop())


@contextmanager
def replacements(
    services: Services, *, rtt: float = 0.002, spec: Json | None = None
) -> Iterator[Replacements]:
    """Start both; clients wait `rtt` seconds between the look at a connection and the write on it."""
    services.kubectl("create", "configmap", SERVICE, f"--from-file={_APP}")
    services.apply(
        SERVICE,
        replicas={"min": PODS},
        network={"allowFrom": [{"service": CALLER}]},
        mounts=[{"path": _FOLDER, "configMap": SERVICE}],
        env=_environment(0),
        **(spec or _PRODKIT),
    )
    services.wait_ready(SERVICE)
    address = services.get("service", SERVICE)["spec"]["clusterIP"]
    module = _CLIENT.removesuffix(".py").replace("/", ".")
    command = ["python3", "-m", module, address, "80", f"{rtt * 1000:g}"]
    with caller(services, command, _CLIENT_FILES) as clients:

        def flowing() -> None:
            assert all(it.answers["ok"] > 0 for it in _by_kind(clients.last()).values())

        eventually(flowing, timeout=60)
        yield Replacements(services, clients)


def _by_kind(seen: Json) -> dict[str, Answers]:
    return {kind: Answers(Counter(counts)) for kind, counts in seen.items()}


def _environment(rollout: int) -> list[Json]:
    """Another value is another template: every pod is replaced."""
    return [
        {"name": "ROLLOUT", "value": str(rollout)},
        {"name": "SERVICE_ACCESS_LOG", "value": "false"},
        {"name": "PYTHONPATH", "value": f"/app:{_FOLDER}"},
    ]


def _uids(services: Services) -> set[str]:
    """Of all pods that there are, leaving ones as well."""
    pods = services.find("pods", f"productionservice.io/service={SERVICE}")
    return {pod["metadata"]["uid"] for pod in pods}
