"""When a certificate ends, as the standard library can be made to say it."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.cluster.certificates import Authority, Pair
from productionservice.admission.certificate import not_after

AUTHORITY = Authority("webhooks")
HOUR = dt.timedelta(hours=1)


def ended() -> Pair:
    """A pair whose certificate ended an hour ago."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(now - 2 * HOUR).not_valid_after(now - HOUR).sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def files(pair: Pair, folder: Path) -> tuple[Path, Path]:
    pair.write(folder, "tls")
    return folder / "tls.crt", folder / "tls.key"


def test_it_is_the_end_that_the_certificate_says(tmp_path: Path) -> None:
    pair = AUTHORITY.server("operator", "127.0.0.1")

    assert not_after(*files(pair, tmp_path)) == pair.certificate.not_valid_after_utc.timestamp()


def test_a_certificate_that_has_ended_ends_at_0(tmp_path: Path) -> None:
    assert not_after(*files(ended(), tmp_path)) == 0


def test_two_that_are_no_pair_are_an_error(tmp_path: Path) -> None:
    certificate, _ = files(AUTHORITY.server("operator", "127.0.0.1"), tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, key = files(AUTHORITY.server("operator", "127.0.0.1"), other)
    with pytest.raises(ssl.SSLError):
        not_after(certificate, key)
