"""Real PostgreSQL and Redis servers from Debian's packages: own process, temporary directory, loopback only."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2e.eventually import eventually
from e2e.packages import SYSTEM_PATH, need

_REDIS = {"redis-server": "redis-server"}
_POSTGRES = {"/usr/lib/postgresql": "postgresql"}
_START_SECONDS = 30


class Server:
    """One server process, in a directory that goes with it."""

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        port: int,
        user: str | None = None,
        ready: Sequence[str] = (),
    ) -> None:
        self.command = list(command)
        self._ready = list(ready)
        self.directory = directory
        self.port = port
        self._user = user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, again after a `stop`. Returns when it answers."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, stdout=log, stderr=log, user=self._user, group=self._user
            )
        eventually(self._answers, timeout=_START_SECONDS, interval=0.02)

    def stop(self) -> None:
        """End the process and wait for it."""
        if self.process is not None:
            self.resume()
            self.process.send_signal(signal.SIGINT)  # PostgreSQL: fast shutdown
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)
        eventually(self._stopped, timeout=10)  # a signal to a process on another processor takes its time

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Make PostgreSQL read its configuration and certificates again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def _pids(self) -> list[int]:
        """The process and what it started: PostgreSQL has one process a connection."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def _signal(self, sig: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def _stopped(self) -> None:
        for pid in self._pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended before
                assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZ"

    def _answers(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.command[0]} left: {(self.directory / 'log').read_text()[-2000:]}")
        if self._ready:
            subprocess.run(self._ready, check=True, capture_output=True)
        else:
            socket.create_connection(("127.0.0.1", self.port), 1).close()


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[Server]:
    """A running Redis; `options` are lines of its configuration."""
    need(_REDIS)
    with _directory("redis") as directory:
        port = free_port()
        lines = ["bind 127.0.0.1", f"port {port}", 'save ""', "appendonly no", *options]
        (directory / "redis.conf").write_text("\n".join(lines) + "\n")
        program = shutil.which("redis-server", path=SYSTEM_PATH) or "redis-server"
        server = Server([program, str(directory / "redis.conf")], directory, port=port)
        with _running(server):
            yield server


@contextlib.contextmanager
def postgres_server(*, tls: Path | None = None, options: Sequence[str] = ()) -> Iterator[Server]:
    """A running PostgreSQL with the password user `app` (password `first`) and its database `app`.

    With `tls` (a directory with `server.crt` and `server.key`) it speaks TLS and refuses everything else.
    """
    need(_POSTGRES)
    programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with _directory("postgres", user) as directory:
        port, data = free_port(), directory / "data"
        _run(
            [programs / "initdb", "-D", data, "-U", "admin", "-A", "trust", "-E", "UTF8", "-N"],
            user,
            directory,
        )
        lines = [
            "listen_addresses = '127.0.0.1'",
            f"port = {port}",
            f"unix_socket_directories = '{directory}'",
            "fsync = off",
            "shared_buffers = 16MB",
            "password_encryption = 'scram-sha-256'",
            *options,
        ]
        host = "host"
        if tls is not None:
            host = "hostssl"
            for name in ("server.crt", "server.key"):
                install(tls / name, data / name, user)
            lines += ["ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"]
        with (data / "postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")
        (data / "pg_hba.conf").write_text(f"local all all trust\n{host} all all 127.0.0.1/32 scram-sha-256\n")
        server = Server(
            [str(programs / "postgres"), "-D", str(data)],
            directory,
            port=port,
            user=user,
            ready=[str(programs / "pg_isready"), "-h", str(directory), "-p", str(port)],
        )
        with _running(server):
            psql(server, "CREATE ROLE app LOGIN PASSWORD 'first'")
            psql(server, "CREATE DATABASE app OWNER app")
            yield server


def psql(server: Server, statement: str, *, database: str = "postgres") -> str:
    """Run one statement as the administrator, over the unix socket. Returns the first column's lines."""
    import psycopg  # noqa: PLC0415  not every user of this module needs the driver

    url = f"host={server.directory} port={server.port} user=admin dbname={database}"
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return "\n".join(str(row[0]) for row in cursor.fetchall()) if cursor.description else ""


def install(source: Path, target: Path, user: str | None) -> None:
    """Copy a file so that only `user` can read it."""
    shutil.copy(source, target)
    target.chmod(0o600)
    if user is not None:
        shutil.chown(target, user, user)


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def _directory(kind: str, user: str | None = None) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
    try:
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(directory, account.pw_uid, account.pw_gid)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(command: Sequence[object], user: str | None, directory: Path) -> None:
    finished = subprocess.run(
        [str(part) for part in command],
        user=user,
        group=user,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(f"{command[0]} failed: {finished.stderr}")
