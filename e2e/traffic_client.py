"""Runs inside the traffic pod: callers in threads, a line of JSON a second, until /tmp/stop exists.

Strict on purpose: a reused connection that the server has closed counts as a failure, and nothing is retried.
Only the standard library, since it runs in the service's own image.
"""

from __future__ import annotations

import collections
import http.client
import json
import pathlib
import sys
import threading
import time
import urllib.parse

STOP = pathlib.Path("/tmp/stop")  # noqa: S108  # the only writable folder of the pod
LONGEST = 300.0  # seconds
IN_A_ROW = 40  # answers: that one of three pods is never hit has a chance of 1 in 10 million
PAUSE = 0.005  # seconds between two requests of one caller: load enough, without starving two cores


class Seen:
    """Counts of all callers."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.lock = threading.Lock()
        self.requests = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.first: dict[str, float] = {}
        self.versions: collections.Counter[str] = collections.Counter()

    def failed(self, what: str) -> None:
        with self.lock:
            self.requests += 1
            self.failures[what] += 1
            self.first.setdefault(what, time.monotonic() - self.started)

    def line(self) -> str:
        with self.lock:
            return json.dumps(
                {
                    "requests": self.requests,
                    "failed": sum(self.failures.values()),
                    "versions": sorted(self.versions),
                    "failures": [
                        f"{what}: {count}, first after {self.first[what]:.1f} s"
                        for what, count in self.failures.most_common()
                    ],
                }
            )


def call(connection: http.client.HTTPConnection, path: str, *, keep: bool) -> str:
    """One request; the version that answered."""
    connection.request("GET", path, headers={} if keep else {"Connection": "close"})
    response = connection.getresponse()
    body = response.read()
    if response.status != http.client.OK:
        raise http.client.HTTPException(f"status {response.status}")
    return str(json.loads(body).get("version", ""))


def caller(seen: Seen, address: str, path: str, *, keep: bool, until: float) -> None:
    connection = http.client.HTTPConnection(address, timeout=10)
    while time.monotonic() < until and not STOP.exists():
        try:
            version = call(connection, path, keep=keep)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            seen.failed(f"{'keep-alive' if keep else 'fresh'} {type(error).__name__} {error}")
        else:
            with seen.lock:
                seen.requests += 1
                seen.versions[version] += 1
        if not keep:
            connection.close()
        time.sleep(PAUSE)


def wait_for_own_network(address: str, path: str, until: float) -> None:
    """A network policy lets a new pod through only once it has seen it, some 0.1 s after its start: not our subject.

    Each node decides for the pods that it has, so one answer says nothing of the others: all of a row has to come.
    """
    row = 0
    while row < IN_A_ROW and time.monotonic() < until:
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            call(connection, path, keep=False)
        except (OSError, http.client.HTTPException):
            row = 0
            time.sleep(0.1)
        else:
            row += 1
        finally:
            connection.close()


def main() -> None:
    url = urllib.parse.urlsplit(sys.argv[1])
    kinds = [True] * int(sys.argv[2]) + [False] * int(sys.argv[3])
    until = time.monotonic() + LONGEST
    wait_for_own_network(url.netloc, url.path, until)
    seen = Seen()
    threads = [
        threading.Thread(target=caller, args=(seen, url.netloc, url.path), kwargs={"keep": k, "until": until})
        for k in kinds
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        print(seen.line(), flush=True)
        time.sleep(1)
    print(seen.line(), flush=True)


if __name__ == "__main__":
    main()
