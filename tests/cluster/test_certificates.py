"""Who the certificates say their owner is, and whom they let in."""

from __future__ import annotations

import base64
import ipaddress
import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from e2e.cluster.certificates import Authority, write_credentials
from e2e.cluster.spec import ClusterSpec, Level

SPEC = ClusterSpec("dev", Level.NODES, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "credentials"
    write_credentials(SPEC, path)
    return path


def read(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def subject(certificate: x509.Certificate) -> tuple[str, list[str]]:
    names = certificate.subject
    (user,) = names.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = names.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(user.value), [str(group.value) for group in groups]


def login(folder: Path, name: str) -> x509.Certificate:
    config = json.loads((folder / f"{name}.kubeconfig").read_text())
    return x509.load_pem_x509_certificate(
        base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
    )


def test_api_server_is_known_by_every_name_that_clients_use(folder: Path) -> None:
    names = read(folder, "api-server").extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ipaddress.ip_address(a) for a in ("127.0.0.1", SPEC.control_plane_address, SPEC.api_service_address)
    }
    assert {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"} <= set(
        names.get_values_for_type(x509.DNSName)
    )


@pytest.mark.parametrize(
    ("name", "user", "groups"),
    [
        ("admin", "kubernetes-admin", ["system:masters"]),
        ("controller-manager", "system:kube-controller-manager", []),
        ("scheduler", "system:kube-scheduler", []),
        ("kube-proxy", "system:kube-proxy", []),
        ("dev-node2", "system:node:dev-node2", ["system:nodes"]),
    ],
)
def test_kubeconfig_logs_in_as(folder: Path, name: str, user: str, groups: list[str]) -> None:
    certificate = login(folder, name)

    assert subject(certificate) == (user, groups)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_kubeconfig_leads_to_the_api_server(folder: Path) -> None:
    config = json.loads((folder / "admin.kubeconfig").read_text())

    assert config["clusters"][0]["cluster"]["server"] == SPEC.server
    assert (
        base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
        == (folder / "ca.crt").read_bytes()
    )


def test_certificates_are_issued_by_their_own_authority_only(folder: Path) -> None:
    authority, front = read(folder, "ca"), read(folder, "front-proxy-ca")

    for name in ("api-server", "kubelet-client", "control-plane", "dev-node1", "admin"):
        read(folder, name).verify_directly_issued_by(authority)
    read(folder, "front-proxy-client").verify_directly_issued_by(front)
    with pytest.raises(ValueError, match=r"[Ii]ssuer"):
        read(folder, "front-proxy-client").verify_directly_issued_by(authority)


def test_only_authorities_may_issue(folder: Path) -> None:
    def may_issue(name: str) -> bool:
        return read(folder, name).extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    assert {name: may_issue(name) for name in ("ca", "front-proxy-ca", "api-server", "admin")} == {
        "ca": True, "front-proxy-ca": True, "api-server": False, "admin": False,
    }  # fmt: skip


def test_secrets_are_for_their_owner_only(folder: Path) -> None:
    secrets = [*folder.glob("*.key"), *folder.glob("*.kubeconfig")]

    assert len(secrets) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_token_keys_are_a_pair(folder: Path) -> None:
    key = load_pem_private_key((folder / "service-account.key").read_bytes(), None)
    public = load_pem_public_key((folder / "service-account.pub").read_bytes())

    assert key.public_key() == public


def test_two_clusters_do_not_trust_each_other() -> None:
    one, other = Authority("psvc-ca"), Authority("psvc-ca")

    with pytest.raises(InvalidSignature):
        one.client("admin").certificate.verify_directly_issued_by(other.pair.certificate)
