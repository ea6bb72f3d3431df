"""Who we are to the API server: from the pod's service account or from a kubeconfig."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from productionservice.config import SERVICE_ACCOUNT, OperatorConfig


class LoginError(Exception):
    """There are no usable credentials. The message says what to set."""


@dataclass(frozen=True)
class Login:
    """Address and credentials. `token` reads anew each time: the kubelet rotates tokens."""

    server: str
    ca: bytes | None
    """PEM; None trusts the system's authorities."""
    certificate: bytes | None = None
    key: bytes | None = None
    """PEM, both or none."""
    token: Callable[[], str | None] = lambda: None
    insecure: bool = False

    def ssl_context(self) -> ssl.SSLContext:
        """TLS settings for a client."""
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        # Python 3.13 turned this on. Authorities of many clusters lack the extensions that it asks for; chain,
        # names and dates are verified as before.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate and self.key:
            # ssl reads client certificates from files only; the file is gone when this returns.
            with tempfile.NamedTemporaryFile() as pem:
                pem.write(self.certificate + b"\n" + self.key)
                pem.flush()
                context.load_cert_chain(pem.name)
        return context


def load_login(config: OperatorConfig) -> Login:
    """Log in by the kubeconfig if one is set, else by the pod's service account. Raises LoginError."""
    if config.kubeconfig is not None:
        return from_kubeconfig(config.kubeconfig)
    token = SERVICE_ACCOUNT / "token"
    if config.api_host and token.exists():
        return Login(
            server=f"https://{config.api_host}",
            ca=(SERVICE_ACCOUNT / "ca.crt").read_bytes(),
            token=lambda: token.read_text().strip(),
        )
    raise LoginError("no credentials: set KUBECONFIG to a file, or run in a pod with a service account token")


def from_kubeconfig(path: Path) -> Login:
    """The current context of a kubeconfig. Raises LoginError for what only a helper program could resolve."""
    try:
        document = yaml.safe_load(path.read_text())
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise LoginError(
            f"kubeconfig {path} cannot be read ({error!r}): check the file and current-context"
        ) from error
    helpers = [kind for kind in ("exec", "auth-provider") if kind in user]
    if helpers:
        raise LoginError(
            f"kubeconfig {path}: user {context['user']} logs in by `{helpers[0]}`, which the operator does not run: "
            "use a client certificate or a token"
        )
    return Login(
        server=cluster["server"].rstrip("/"),
        ca=_data(path, cluster, "certificate-authority"),
        certificate=_data(path, user, "client-certificate"),
        key=_data(path, user, "client-key"),
        token=_token(path, user),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(document: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    for entry in document[section]:
        if entry["name"] == name:
            found: Mapping[str, Any] = entry
            return found
    raise KeyError(f"{section}: {name}")


def _data(path: Path, section: Mapping[str, Any], name: str) -> bytes | None:
    """Inline data, else the file it names (relative to the kubeconfig)."""
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"])
    return (path.parent / section[name]).read_bytes() if name in section else None


def _token(path: Path, user: Mapping[str, Any]) -> Callable[[], str | None]:
    if "tokenFile" in user:
        file = path.parent / user["tokenFile"]
        return lambda: file.read_text().strip()
    return lambda: user.get("token")
