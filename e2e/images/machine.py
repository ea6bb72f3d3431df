"""The machine's own package settings, lent to a build and never written into an image.

RUN steps need the proxies, mirrors and certificates that this machine is set up with. They go in as build secrets
(`pip`, `ca`), which Docker and buildah keep out of layers and configuration alike.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

_INSIDE = Path("/run/secrets/ca")
"""Where a RUN step sees the secret `ca`."""
_PIP_OPTIONS = frozenset(
    {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries"}
)
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def secrets(folder: Path) -> list[str]:
    """`--secret` arguments for the build; what is made for them is written to `folder`."""
    bundle = _bundle()
    pip = folder / "pip.conf"
    pip.write_text(pip_conf(_pip_settings(), certificates=bundle is not None))
    files = {"pip": pip, **({"ca": bundle} if bundle else {})}
    return [argument for name, path in files.items() for argument in ("--secret", f"id={name},src={path}")]


def apt_options() -> list[str]:
    """Proxy settings of the machine's apt, in apt.conf form."""
    command = ["apt-config", "dump", "Acquire"]
    dumped = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [line for line in dumped.splitlines() if "::Proxy" in line and '""' not in line]


def _bundle() -> Path | None:
    """The certificates that programs on this machine trust, in one file."""
    candidates = (os.environ.get("SSL_CERT_FILE", ""), *_BUNDLES)
    return next((Path(path).resolve() for path in candidates if path and Path(path).is_file()), None)


def _pip_settings() -> str:
    """Files, user's and environment's settings of pip, merged by pip itself."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def pip_conf(listed: str, *, certificates: bool) -> str:
    """A pip.conf out of lines such as `global.index-url='https://…'` or `:env:.timeout='60'`."""
    options = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _PIP_OPTIONS:
            options[name] = str(ast.literal_eval(value))
    if certificates:
        options["cert"] = str(_INSIDE)
    # A value of several lines is a list in pip; its further lines have to be indented.
    lines = [
        f"{name} = {value.replace(chr(10), chr(10) + '  ')}\n" for name, value in sorted(options.items())
    ]
    return "[global]\n" + "".join(lines)
