"""The machine's own package settings, lent to a build and never written into an image.

RUN steps need the proxies, mirrors and certificates that this machine is set up with. They are written to files
that are bound read-only into the build, at paths that no layer contains.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CERTIFICATES = "/run/machine/ca.pem"
_PIP_OPTIONS = frozenset(
    {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout"}
)
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def lend(folder: Path) -> list[str]:
    """`--volume` arguments for the build; the files are written to `folder`."""
    bound: dict[str, Path] = {}
    bundle = next(
        (Path(p) for p in (os.environ.get("SSL_CERT_FILE", ""), *_BUNDLES) if p and Path(p).exists()), None
    )
    if bundle:
        bound[CERTIFICATES] = bundle.resolve()
    bound["/etc/pip.conf"] = _write(folder / "pip.conf", _pip(with_certificates=bundle is not None))
    bound["/etc/apt/apt.conf.d/90machine"] = _write(
        folder / "apt.conf", _apt(with_certificates=bundle is not None)
    )
    return [argument for inside, path in bound.items() for argument in ("--volume", f"{path}:{inside}:ro")]


def _pip(*, with_certificates: bool) -> str:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    options = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _PIP_OPTIONS:
            options[name] = value.strip("'\"")
    if with_certificates:
        options["cert"] = CERTIFICATES
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in sorted(options.items()))


def _apt(*, with_certificates: bool) -> str:
    dumped = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
    ).stdout
    lines = [line for line in dumped.splitlines() if '""' not in line]
    if with_certificates:
        lines.append(f'Acquire::https::CAInfo "{CERTIFICATES}";')
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
