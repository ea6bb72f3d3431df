"""Secrets from mounted files, read again while the process runs.

    secrets = SecretWatcher()
    password = secrets.file("database-password", "/run/secrets/database/password")
    async with secrets.watching():
        connect(password.value())            # what is right now; a rotated one within 10 s

Kubernetes exchanges a mounted Secret by turning the symbolic link `..data`; the files are looked at every few
seconds, because notifications do not come from every kind of volume. (A `subPath` mount is never updated.)
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

logger = structlog.get_logger("prodkit.secrets")

POLL_SECONDS = 5.0
"""A rotated secret is in use after at most this and one more connection."""
_MAX_BYTES = 64 * 1024


class SecretFileError(Exception):
    """The file cannot be used at start; the message names it and what to do, never its content."""


class SecretFile:
    """One secret. Its text form never shows the value."""

    def __init__(self, name: str, path: str | Path, *, on_change: Callable[[], None] | None = None) -> None:
        self.name = name
        self.path = Path(path)
        self.changed_at = time.time()
        """When this value was first seen (seconds since 1970)."""
        self._on_change = on_change
        self._previous = ""
        self._value = self._read()

    def __repr__(self) -> str:
        return f"SecretFile({self.name!r}, {str(self.path)!r})"

    def value(self) -> str:
        """The value, without the newline that an editor put behind it."""
        return self._value

    def candidates(self) -> tuple[str, ...]:
        """The value, and the one before it: the server may learn about a change later than we do."""
        return (self._value, self._previous) if self._previous else (self._value,)

    def reload(self) -> bool | None:
        """Read again: True when there is a new value, False when not, None when the file cannot be used.

        The old value stays in use then: a mount that is being exchanged is no reason to fail.
        """
        try:
            value = self._read()
        except SecretFileError:
            return None
        if value == self._value:
            return False
        if self._on_change is not None:
            self._on_change()  # first: what fails here is tried again at the next look
        self._previous, self._value = self._value, value
        self.changed_at = time.time()
        return True

    def _read(self) -> str:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise SecretFileError(
                f"{self.name}: {str(self.path)!r} cannot be read ({error.strerror}): mount the Secret there"
            ) from None
        try:
            value = content[:_MAX_BYTES].decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise SecretFileError(f"{self.name}: {str(self.path)!r} is not text: write UTF-8") from None
        if not value:
            raise SecretFileError(f"{self.name}: {str(self.path)!r} is empty: write the secret into it")
        return value


class SecretWatcher:
    """All secrets of a process, and one task that looks after them."""

    def __init__(self, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._files: list[SecretFile] = []
        self._poll = poll_seconds
        self._reloads: Counter | None = None
        self._broken: set[str] = set()

    def file(self, name: str, path: str | Path, *, on_change: Callable[[], None] | None = None) -> SecretFile:
        """Read and watch a file. SecretFileError when it cannot be used now."""
        secret = SecretFile(name, path, on_change=on_change)
        self._files.append(secret)
        return secret

    def register(self, registry: CollectorRegistry) -> None:
        """Add `secret_reloads_total{secret,result}` and `secret_age_seconds{secret}` to a registry."""
        self._reloads = Counter(
            "secret_reloads", "Values read anew, or not readable", ("secret", "result"), registry=registry
        )
        age = Gauge("secret_age_seconds", "Time since the value came", ("secret",), registry=registry)
        for secret in self._files:
            for result in ("changed", "failed"):
                self._reloads.labels(secret.name, result)
            age.labels(secret.name).set_function(partial(_age, secret))

    def certificate(self, name: str, context: ssl.SSLContext, certificate: Path, key: Path) -> SecretFile:
        """Load a certificate chain into `context`, and again whenever its file changes: new handshakes use it."""
        load = partial(_load_pair, context, certificate, key)
        load()
        return self.file(name, certificate, on_change=load)

    def look(self) -> None:
        """Look at every file once."""
        for secret in self._files:
            try:
                changed = secret.reload()
            except (OSError, ssl.SSLError):  # certificate and key do not fit together yet: next time they do
                changed = None
            if changed:
                self._broken.discard(secret.name)
                self._count(secret, "changed")
                logger.info("secret changed, the new value is in use", secret=secret.name)
            elif changed is None:
                self._count(secret, "failed")
                if secret.name not in self._broken:
                    self._broken.add(secret.name)
                    logger.warning("secret cannot be read, the old value stays in use", secret=secret.name)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look every few seconds as long as this is open."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _count(self, secret: SecretFile, result: str) -> None:
        if self._reloads is not None:
            self._reloads.labels(secret.name, result).inc()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            self.look()


def _age(secret: SecretFile) -> float:
    return time.time() - secret.changed_at


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Load the pair, or nothing: a certificate without its key would end every handshake of a live context."""
    pair = certificate.resolve(), key.resolve()  # of one version, even if the mount is exchanged meanwhile
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)
    context.load_cert_chain(*pair)
