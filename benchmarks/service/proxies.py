"""nginx and haproxy in front of two addresses, with connections kept on both sides.

They are told who leaves as their controllers in a cluster do it: nginx by a new configuration and a reload (which ends
its clients' idle connections, whatever stands behind), haproxy by its own socket.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.service.processes import free_port
from e2e.packages import SYSTEM_PATH, need

_START_SECONDS = 10.0
_NGINX = """\
daemon off;
user root;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000;
  upstream service {{
{servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""
_HAPROXY = """\
global
  maxconn 4096
  stats socket {folder}/socket level admin
defaults
  mode http
  timeout connect 1s
  timeout client 75s
  timeout server 30s
  retries 3
  option redispatch
frontend service
  bind 127.0.0.1:{port} backlog 1024
  default_backend service
backend service
  http-reuse safe
{servers}
"""


class Proxy:
    """One that runs."""

    def __init__(self, kind: str, ports: Sequence[int], folder: str) -> None:
        self.port = free_port()
        self._kind = kind
        self._ports = ports
        self._folder = Path(folder)
        self._gone: set[int] = set()
        self._write()
        command = (
            ["nginx", "-p", folder, "-c", "conf"]
            if kind == "nginx"
            else ["haproxy", "-db", "-f", f"{folder}/conf"]
        )
        self.process = subprocess.Popen(command, env={"PATH": SYSTEM_PATH}, stderr=subprocess.DEVNULL)

    def leave(self, port: int) -> None:
        """No new requests for this one."""
        self._gone.add(port)
        self._tell(f"set server service/s{port} state drain")

    def join(self, port: int) -> None:
        """It serves again."""
        self._gone.discard(port)
        self._tell(f"set server service/s{port} state ready")

    def _tell(self, command: str) -> None:
        if self._kind == "nginx":
            self._write()
            self.process.send_signal(signal.SIGHUP)
            return
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._folder / "socket"))
            control.sendall(command.encode() + b"\n")
            control.recv(4096)

    def _write(self) -> None:
        if self._kind == "nginx":
            text = _NGINX
            lines = [f"    server 127.0.0.1:{it}{' down' if it in self._gone else ''};" for it in self._ports]
        else:
            text = _HAPROXY
            lines = [f"  server s{it} 127.0.0.1:{it}" for it in self._ports]
        text = text.format(port=self.port, folder=self._folder, servers="\n".join(lines))
        (self._folder / "conf").write_text(text)


@contextlib.contextmanager
def proxy(kind: str, ports: Sequence[int]) -> Iterator[Proxy]:
    """Start `kind` ("nginx" or "haproxy") in front of loopback `ports`."""
    need({kind: "nginx-light" if kind == "nginx" else kind})
    with tempfile.TemporaryDirectory() as folder:
        running = Proxy(kind, ports, folder)
        try:
            _wait_for(running.process, running.port, kind)
            yield running
        finally:
            running.process.terminate()
            running.process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, kind: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"error: {kind} does not start: run it with the configuration of {__name__}")
        time.sleep(0.05)
