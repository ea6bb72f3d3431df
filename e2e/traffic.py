"""Load from inside the cluster, through kube-proxy and the NetworkPolicy, counting every failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.caller import Caller, caller
from e2e.eventually import eventually
from e2e.services import Services

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

    def __init__(self, pod: Caller) -> None:
        self._pod = pod

    def requests(self) -> int:
        """Requests so far."""
        return int(self._pod.last()["requests"])

    def stop(self) -> Report:
        """End the load and return what it saw in all."""
        seen = self._pod.stop()
        return Report(seen["requests"], seen["failed"], tuple(seen["versions"]), tuple(seen["failures"]))


@contextmanager
def traffic(
    services: Services, url: str, *, keep_alive: int = 8, fresh: int = 4, node: str = ""
) -> Iterator[Traffic]:
    """Requests to `url` (`http://host/path`) from one pod, until stopped, at most 5 minutes.

    `keep_alive` callers reuse their connection, `fresh` callers open one for each request. They run
    on `node`, or anywhere.
    """
    command = ["python3", "client.py", url, str(keep_alive), str(fresh)]
    with caller(services, command, {"client.py": _SCRIPT}, node=node) as pod:
        running = Traffic(pod)

        def flowing() -> None:
            assert running.requests() > 100

        eventually(flowing, timeout=60)
        yield running
