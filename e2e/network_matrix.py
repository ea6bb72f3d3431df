"""Who may reach what in a cluster that enforces policies: the cells, the pods that try them, and how they are tried."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.caller import RESTRICTED
from e2e.cluster.providers import OwnCluster
from e2e.install import SERVICE_IMAGE, TAG
from e2e.services import Services
from e2e.tools import tool


@dataclass(frozen=True)
class Cell:
    """One attempt. `target` and `port` are names that the test gives an address; `why` is the rule behind it.

    A port whose name begins with `UDP` is asked by a datagram: an answer is what connects.
    """

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
        ("catalog", "UDP traffic", False, "a name opens the traffic port for TCP only"),
        ("pricing", "traffic", False, "pricing allows catalog only"),
    ),
    *_cells(
        "stranger",
        ("catalog", "UDP traffic", False, _DENY),
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
        ("catalog", "UDP traffic", False, "a range opens the traffic port for TCP only"),
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
        ("outside", "UDP 8001", False, "the range is allowed at this port for TCP"),
        ("outside", "UDP 8002", True, "its range, port and protocol are in allowTo"),
        ("catalog", "UDP traffic", True, "itself: it listens"),
        ("DNS", "53", True, "always"),
        ("DNS", "UDP 53", True, "always"),
        ("DNS", "metrics", False, "only port 53"),
        ("API server", "its own", False, _NOT_CALLED),
        ("stranger", "8001", False, _NOT_CALLED),
    ),
    *_cells(
        "pricing",
        ("catalog", "traffic", False, "an answer is no call"),
        ("outside", "8001", False, _NOT_CALLED),
        ("outside", "UDP 8002", False, _NOT_CALLED),
        ("DNS", "53", True, "always"),
        ("DNS", "UDP 53", True, "always"),
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
        ("outside", "UDP 8001", True, "no policy: it listens"),
        ("outside", "UDP 8002", True, "no policy: it listens"),
        ("stranger", "8001", True, "no policy: it listens"),
        ("DNS", "metrics", True, "no policy: it listens"),
        ("API server", "its own", True, "no policy: it listens"),
    ),
)
"""Every kind of rule from both sides. What must not be reached is reached by somebody, or by `outside`, who has no
policy: a port on which nobody listens would be "denied" too."""

_METADATA, _HOLE = "link-local: no range may hold it", "a hole in each range that holds it"
CREDENTIALS = (
    *_cells(
        "hostile",
        ("outside", "8001", True, "its range is in allowTo"),
        ("169.254.169.254", "80", False, _METADATA),
        ("169.254.170.2", "80", False, _METADATA),
        ("100.100.100.200", "80", False, _HOLE),
        ("168.63.129.16", "80", False, _HOLE),
        ("192.0.0.192", "80", False, _HOLE),
    ),
    *_cells("quiet", ("169.254.169.254", "80", False, _NOT_CALLED)),
    *_cells(
        "outside",
        *(
            (address, "80", True, "no policy: it listens")
            for address in (
                "169.254.169.254",
                "169.254.170.2",
                "100.100.100.200",
                "168.63.129.16",
                "192.0.0.192",
            )
        ),
    ),
)
"""Where clouds hand out credentials. The node of the test's cluster has these addresses; `hostile` allows itself every
address that the rules let it write."""

CACHE, NOT_GIVEN = "169.254.20.10", "169.254.20.11"
NODE_DNS = (
    *_cells(
        "catalog",
        (CACHE, "UDP 53", True, "in config.dns.addresses"),
        (CACHE, "53", True, "in config.dns.addresses"),
        (CACHE, "health", False, "only port 53"),
        (NOT_GIVEN, "UDP 53", False, "link-local, and not in config.dns.addresses"),
        (NOT_GIVEN, "53", False, "link-local, and not in config.dns.addresses"),
        ("DNS", "UDP 53", True, "always"),
    ),
    *_cells(
        "outside",
        (CACHE, "health", True, "no policy: it listens"),
        (NOT_GIVEN, "UDP 53", True, "no policy: it listens"),
        (NOT_GIVEN, "53", True, "no policy: it listens"),
    ),
)
"""A DNS cache on each node, as NodeLocal DNSCache has it: CoreDNS that listens at addresses of the node."""

# A question that DNS answers; the listeners send back whatever they get.
_QUESTION = "abcd01000001000000000000076578616d706c6503636f6d0000010001"
# Tries all at once. "Denied" shows as a time-out or a refusal.
_CONNECT = """
import concurrent.futures, json, socket, sys
def connects(target):
    host, port, protocol = target
    try:
        if protocol == "TCP":
            socket.create_connection((host, port), timeout=3).close()
            return True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(3)
            asking.connect((host, port))
            asking.send(bytes.fromhex(sys.argv[2]))
            return bool(asking.recv(4096))
    except OSError:
        return False
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    print(json.dumps(list(pool.map(connects, json.loads(sys.argv[1])))))
"""
_ECHO = """
import socket, sys, threading, time
def echo(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", port))
    while True:
        data, caller = server.recvfrom(4096)
        server.sendto(data, caller)
for port in map(int, sys.argv[1].split(",")):
    threading.Thread(target=echo, args=(port,), daemon=True).start()
"""
_LISTEN = f"""{_ECHO}
kept = [socket.create_server(("", port)) for port in map(int, sys.argv[1].split(","))]
time.sleep(600)
"""
# Leaves a process behind that answers, after the command that started it has ended.
_ECHO_BESIDE = f"""
import os, sys
if os.fork():
    sys.exit()
os.setsid()
for stream in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), stream)
{_ECHO}
time.sleep(600)
"""
_HTTP = """
import socket, sys
server = socket.create_server(("", 80))
while True:
    server.accept()[0].close()
"""

_COREFILE = """.:53 {{
    errors
    cache
    forward . {dns}
    health :8080
}}
"""


def connections(services: Services, pod: str, targets: Iterable[tuple[str, int, str]]) -> list[bool]:
    """Which of these (address, port, protocol) a program in `pod` connects to, or gets an answer from."""
    wanted = json.dumps(list(targets))
    answer = services.kubectl("exec", pod, "--", "python3", "-c", _CONNECT, wanted, _QUESTION)
    return list(json.loads(answer))


def answer_datagrams(services: Services, pod: str, port: int) -> None:
    """Start a program in a running pod that answers at a UDP port, or "denied" would be what nobody answers."""
    services.kubectl("exec", pod, "--", "python3", "-c", _ECHO_BESIDE, str(port))


@contextmanager
def metadata_service(cluster: OwnCluster) -> Iterator[None]:
    """Each node of a cluster has the addresses of `CREDENTIALS`, and something listens there at port 80."""
    addresses = {cell.target for cell in CREDENTIALS if cell.target[0].isdigit()}
    with _on_each_node(cluster, addresses, [sys.executable, "-c", _HTTP]):
        yield


@contextmanager
def dns_cache(cluster: OwnCluster, dns: str) -> Iterator[None]:
    """Each node has the addresses of `NODE_DNS`, and CoreDNS answers there out of what `dns` knows."""
    with tempfile.TemporaryDirectory() as folder:
        corefile = Path(folder) / "Corefile"
        corefile.write_text(_COREFILE.format(dns=dns))
        answering = [str(tool("coredns")), "-conf", str(corefile)]
        with _on_each_node(cluster, {CACHE, NOT_GIVEN}, answering):
            yield


@contextmanager
def _on_each_node(cluster: OwnCluster, addresses: set[str], program: Sequence[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for node in cluster.spec.nodes:
            inside = ["ip", "netns", "exec", cluster.spec.namespace(node)]
            for address in sorted(addresses):
                subprocess.run([*inside, "ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
                gone = [*inside, "ip", "address", "del", f"{address}/32", "dev", "lo"]
                stack.callback(subprocess.run, gone, check=True)
            listening = subprocess.Popen([*inside, *program])
            stack.callback(listening.wait)
            stack.callback(listening.kill)
        yield


def start_listener(services: Services, name: str, labels: Mapping[str, str]) -> str:
    """A pod that listens on 8001 and 8002, TCP and UDP, and does nothing else. Returns its address."""
    container: dict[str, Any] = {
        "name": "listener", "image": f"{SERVICE_IMAGE}:{TAG}", "command": ["python3", "-c", _LISTEN, "8001,8002"],
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
