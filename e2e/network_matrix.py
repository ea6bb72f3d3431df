"""Who may reach what in a cluster that enforces policies: the cells, the pods that try them, and how they are tried."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from e2e.install import SERVICE_IMAGE, TAG
from e2e.services import Services
from e2e.traffic import RESTRICTED


@dataclass(frozen=True)
class Cell:
    """One attempt. `target` and `port` are names that the test gives an address; `why` is the rule behind it."""

    caller: str
    target: str
    port: str
    allowed: bool
    why: str

    @property
    def row(self) -> str:
        """As docs/network.md has it."""
        return f"| {self.caller} | {self.target} | {self.port} | {'yes' if self.allowed else 'no'} | {self.why} |"


HEAD = "| from | to | port | connects | because |"
_DENY, _NOT_CALLED = "nothing allows it", "not in allowTo"


def _cells(caller: str, *attempts: tuple[str, str, bool, str]) -> list[Cell]:
    return [Cell(caller, *attempt) for attempt in attempts]


CELLS = (
    *_cells(
        "web",
        ("catalog", "Service 80", True, "catalog's allowFrom"),
        ("catalog", "traffic", True, "catalog's allowFrom"),
        ("catalog", "admin", False, "only scraping reaches it"),
        ("pricing", "traffic", False, "pricing allows catalog only"),
    ),
    *_cells(
        "stranger",
        ("catalog", "Service 80", False, _DENY),
        ("catalog", "traffic", False, _DENY),
        ("catalog", "admin", False, _DENY),
        ("pricing", "Service 80", False, _DENY),
    ),
    *_cells(
        "web of another namespace",
        ("catalog", "Service 80", False, "a name means the same namespace"),
        ("catalog", "traffic", False, "a name means the same namespace"),
        ("catalog", "admin", False, _DENY),
    ),
    *_cells(
        "scraper",
        ("catalog", "admin", True, "metrics, from the namespace that scrapes"),
        ("catalog", "traffic", False, "scraping opens the metrics' port only"),
        ("pricing", "admin", True, "metrics, from the namespace that scrapes"),
        ("quiet", "admin", False, "observability.metrics.monitor: Off"),
    ),
    *_cells(
        "ranger",
        ("catalog", "traffic", True, "its address range is in allowFrom"),
        ("catalog", "admin", False, "a range opens the traffic port only"),
        ("pricing", "traffic", False, _DENY),
    ),
    *_cells(
        "catalog",
        ("pricing", "Service 80", True, "both sides allow it"),
        ("pricing", "traffic", True, "both sides allow it"),
        ("pricing", "admin", False, "a name opens the traffic port only"),
        ("quiet", "Service 80", False, "quiet does not allow catalog"),
        ("quiet", "traffic", False, "quiet does not allow catalog"),
        ("outside", "8001", True, "its range and port are in allowTo"),
        ("outside", "8002", False, "the range is allowed at another port"),
        ("DNS", "53", True, "always"),
        ("DNS", "metrics", False, "only port 53"),
        ("API server", "its own", False, _NOT_CALLED),
        ("stranger", "8001", False, _NOT_CALLED),
    ),
    *_cells(
        "pricing",
        ("catalog", "traffic", False, "an answer is no call"),
        ("outside", "8001", False, _NOT_CALLED),
        ("DNS", "53", True, "always"),
        ("API server", "its own", False, _NOT_CALLED),
    ),
    *_cells(
        "quiet",
        ("catalog", "traffic", False, "catalog does not allow quiet"),
        ("pricing", "Service 80", False, _NOT_CALLED),
        ("DNS", "53", True, "always"),
    ),
    *_cells(
        "outside",
        ("outside", "8002", True, "no policy: it listens"),
        ("stranger", "8001", True, "no policy: it listens"),
        ("DNS", "metrics", True, "no policy: it listens"),
        ("API server", "its own", True, "no policy: it listens"),
    ),
)
"""Every kind of rule from both sides. What must not be reached is reached by somebody, or by `outside`, who has no
policy: a port on which nobody listens would be "denied" too."""

# Tries all at once. "Denied" shows as a time-out or a refusal.
_CONNECT = """
import concurrent.futures, json, socket, sys
def connects(target):
    try:
        socket.create_connection(tuple(target), timeout=3).close()
    except OSError:
        return False
    return True
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    print(json.dumps(list(pool.map(connects, json.loads(sys.argv[1])))))
"""
_LISTEN = """
import socket, time
for port in (8001, 8002):
    server = socket.create_server(("", port))
    globals()[f"server{port}"] = server
time.sleep(600)
"""


def connections(services: Services, pod: str, targets: Iterable[tuple[str, int]]) -> list[bool]:
    """Which of these addresses a program in `pod` connects to."""
    answer = services.kubectl("exec", pod, "--", "python3", "-c", _CONNECT, json.dumps(list(targets)))
    return list(json.loads(answer))


def start_listener(services: Services, name: str, labels: Mapping[str, str]) -> str:
    """A pod that listens on 8001 and 8002 and does nothing else. Returns its address."""
    container: dict[str, Any] = {
        "name": "listener", "image": f"{SERVICE_IMAGE}:{TAG}", "command": ["python3", "-c", _LISTEN],
        "securityContext": RESTRICTED,
        "readinessProbe": {"tcpSocket": {"port": 8002}, "periodSeconds": 1},
    }  # fmt: skip
    services.apply_object(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
            },
        }
    )
    services.kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=60s")
    return str(services.get("pod", name)["status"]["podIP"])
