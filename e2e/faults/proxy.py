"""An HTTPS proxy between the operator and the API server: it passes everything on, notes it, and does what rules say.

A thread a connection and blocking calls, so that a fault may simply wait. `http.server` and `http.client` of the
standard library suffice: it serves one operator, for minutes.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from e2e.cluster.certificates import Authority
from e2e.faults.rules import Answer, Call, Fault, Reset, Rule

_HOST = "127.0.0.1"
_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive"})


@dataclass(frozen=True)
class Seen:
    """One request that has passed."""

    call: Call
    status: int
    """0 when it got no answer."""
    at: float
    """`time.monotonic()` when it came."""


class FaultProxy:
    """Listens on a free port of loopback while the block runs."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        """In front of the API server of `kubeconfig`, whose users' credentials are passed on."""
        document = yaml.safe_load(kubeconfig.read_text())
        cluster = document["clusters"][0]["cluster"]
        self._upstream = urlsplit(cluster["server"])
        self._folder = folder
        authority = Authority("fault-proxy-ca")
        authority.server("fault-proxy", _HOST).write(folder, "proxy")
        self.ca = authority.pair.certificate_pem
        self._ca = folder / "upstream-ca.crt"
        self._ca.write_bytes(_inline(kubeconfig, cluster, "certificate-authority"))
        self.rules: list[Rule] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = _Server((_HOST, 0), _Handler)
        self._server.proxy = self

    @property
    def address(self) -> str:
        """What the operator is told the API server's address is."""
        return f"https://{_HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> FaultProxy:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "proxy.crt", self._folder / "proxy.key")
        # The handshake is the connection's thread's business: a client that stalls must not hold up the others.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, name="fault-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.rules.clear()
        self._server.shutdown()
        self._server.server_close()

    def add(self, fault: Fault, **match: Any) -> Rule:
        """From now on, requests that match are hit; see Rule."""
        rule = Rule(fault, **match)
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self.rules.clear()

    def take(self, call: Call) -> Fault:
        """The fault that this request meets."""
        with self._lock:
            return next((rule.fault for rule in self.rules if rule.matches(call)), Fault())

    def note(self, call: Call, status: int, at: float) -> None:
        """Remember a request."""
        with self._lock:
            self.seen.append(Seen(call, status, at))

    def writes(self, namespace: str, since: float = 0.0) -> list[str]:
        """Successful writes in a namespace after `since`, events aside."""
        return [
            str(seen.call)
            for seen in self.seen
            if seen.call.writes and seen.call.namespace == namespace and seen.call.resource != "events"
            if seen.at >= since and 200 <= seen.status < 300
        ]

    def connect(self) -> http.client.HTTPSConnection:
        """A connection to the API server."""
        context = ssl.create_default_context(cafile=str(self._ca))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        host, port = self._upstream.hostname or "", self._upstream.port or 443
        return http.client.HTTPSConnection(host, port, context=context, timeout=600)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = self.server.proxy.connect()

    def finish(self) -> None:
        self._upstream.close()
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The trace is in `FaultProxy.seen`."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # ValueError: a file of a socket that is closed
            self.close_connection = True

    def _pass(self) -> None:
        proxy, at = self.server.proxy, time.monotonic()
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        call = Call.of(
            self.command,
            parts.path,
            query,
            self.headers.get("Content-Type", ""),
            self.headers.get("Accept", ""),
        )
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault, status = proxy.take(call), 0
        try:
            answer = fault.before(call)
            if answer is not None:
                status = answer.status
                self._answer(answer)
                return
            status = self._forward(call, fault, body)
        except Reset:
            self._reset()
        finally:
            if call.verb != "watch":
                proxy.note(call, status, at)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the base class's names

    def _forward(self, call: Call, fault: Fault, body: bytes) -> int:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        self._upstream.request(self.command, self.path, body=body or None, headers=headers)
        response = self._upstream.getresponse()
        kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP]
        if call.verb == "watch" and response.status == 200:
            self.server.proxy.note(call, response.status, time.monotonic())
            self._start(response.status, [*kept, ("Transfer-Encoding", "chunked")])
            self._stream(fault.lines(_lines(response)))
            return response.status
        content = response.read()
        fault.after(call)
        self._start(response.status, [*kept, ("Content-Length", str(len(content)))])
        self.wfile.write(content)
        return response.status

    def _stream(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _answer(self, answer: Answer) -> None:
        body = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": answer.status,
            "reason": answer.reason, "message": answer.message,
        }  # fmt: skip
        content = json.dumps(body).encode()
        length = ("Content-Length", str(len(content)))
        self._start(answer.status, [*answer.headers.items(), ("Content-Type", "application/json"), length])
        self.wfile.write(content)

    def _start(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()

    def _reset(self) -> None:
        """RST instead of FIN: what a broken network does."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Lines of a watch as they come; it ends when the API server ends it."""
    while line := response.readline():
        yield line


def _inline(kubeconfig: Path, section: dict[str, Any], name: str) -> bytes:
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"])
    return (kubeconfig.parent / str(section[name])).read_bytes()
