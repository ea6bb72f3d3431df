"""The serving certificate, which changes while requests run: connections keep the old one, new ones get the new."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import structlog

from productionservice import metrics

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
        ends = not_after(certificate, key)
        metrics.WEBHOOK_CERTIFICATE_ENDS.set(ends)
        until = datetime.fromtimestamp(ends, UTC).isoformat()
        log.info("serving certificate taken up", folder=str(self._folder), until=until)
        return True


def not_after(certificate: Path, key: Path) -> float:
    """When a certificate ends, in seconds since 1970; 0 when no client would take it any longer.

    Raises SSLError when the two are no pair.

    The standard library tells it of a peer's certificate only: so it is shown to ourselves, in memory.
    """
    server_context, client_context = _context(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server_context.load_cert_chain(certificate, key)
    client_context.check_hostname = False
    client_context.load_verify_locations(certificate)
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:
            return 0.0
    return float(ssl.cert_time_to_seconds(str((client.getpeercert() or {})["notAfter"])))


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
