"""The serving certificate, which changes while requests run: connections keep the old one, new ones get the new."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""Time between two looks at the files. The kubelet brings a changed Secret within about a minute, so this is prompt."""


class ServingCertificate:
    """A TLS context that follows `tls.crt` and `tls.key` of a folder, as the kubelet mounts a Secret of type TLS.

    Without the files, or while they are no pair, the context stays as it is: at first without any certificate, so
    that connections fail and the API server goes on without us.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: bytes | None = None
        self._complaint = ""
        self.context = _context()

    def refresh(self) -> bool:
        """Take up what the files hold; True when it is another pair than before."""
        try:
            return self._take_up()
        except (OSError, ssl.SSLError) as error:
            # Once a reason: the files are looked at every few seconds.
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning(
                    "no new serving certificate", folder=str(self._folder), error=str(error),
                    advice="put tls.crt and tls.key that belong together there, or renew the Secret",
                )  # fmt: skip
            return False

    async def follow(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.refresh()

    def _take_up(self) -> bool:
        # The kubelet swaps one link for all files: read through it once, so that both are of one generation.
        linked = self._folder / "..data"
        generation = linked.resolve() if linked.exists() else self._folder
        certificate, key = generation / "tls.crt", generation / "tls.key"
        content = hashlib.sha256(certificate.read_bytes() + key.read_bytes()).digest()
        if content == self._loaded:
            return False
        # On a context of its own first: a pair that does not fit would leave the one in use without a key.
        _context().load_cert_chain(certificate, key)
        self.context.load_cert_chain(certificate, key)
        self._loaded, self._complaint = content, ""
        log.info("serving certificate taken up", folder=str(self._folder))
        return True


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
