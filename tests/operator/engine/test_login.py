"""Credentials: what is read, and what is refused in words."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from productionservice.config import OperatorConfig
from productionservice.engine.login import LoginError, from_kubeconfig, load_login


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    path = folder / "config"
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_inline_certificates(tmp_path: Path) -> None:
    data = {name: base64.b64encode(name.encode()).decode() for name in ("ca", "cert", "key")}
    user = {"client-certificate-data": data["cert"], "client-key-data": data["key"]}
    login = from_kubeconfig(kubeconfig(tmp_path, user, **{"certificate-authority-data": data["ca"]}))

    assert (login.server, login.ca, login.certificate, login.key) == (
        "https://127.0.0.1:6443", b"ca", b"cert", b"key",
    )  # fmt: skip
    assert login.token() is None


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"ca")
    (tmp_path / "token").write_text("first\n")
    path = kubeconfig(tmp_path, {"tokenFile": "token"}, **{"certificate-authority": "ca.crt"})
    login = from_kubeconfig(path)

    assert (login.ca, login.token()) == (b"ca", "first")
    (tmp_path / "token").write_text("rotated\n")
    assert login.token() == "rotated"


def test_helper_programs_are_refused_by_name(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"exec": {"command": "cloud-login"}})

    with pytest.raises(LoginError, match=r"user u logs in by `exec`.*use a client certificate or a token"):
        from_kubeconfig(path)


@pytest.mark.parametrize("text", ["", "{", "current-context: nowhere\ncontexts: []\n"])
def test_an_unusable_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)

    with pytest.raises(LoginError, match=r"kubeconfig .*broken cannot be read"):
        from_kubeconfig(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoginError, match="nothing-here"):
        from_kubeconfig(tmp_path / "nothing-here")


def test_without_any_credentials_it_says_what_to_set() -> None:
    with pytest.raises(LoginError, match="set KUBECONFIG"):
        load_login(OperatorConfig())
