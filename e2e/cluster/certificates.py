"""Certificates and kubeconfigs of one cluster, made anew for each start.

Elliptic keys (P-256): a start makes about ten pairs, and RSA would cost a second of it.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from e2e.cluster.spec import DNS_DOMAIN, ClusterSpec

_LIFETIME = dt.timedelta(days=30)  # longer than any test cluster lives
_CLOCK_SKEW = dt.timedelta(hours=1)  # by so much may a clock be off (fault F34)
ADMINS = "system:masters"  # the group that the API server lets do everything


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """PEM text of the certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """PEM text of the key."""
        return private_pem(self.key)

    def write(self, folder: Path, name: str) -> None:
        """`name.crt` and `name.key`; only the owner may read the key."""
        (folder / f"{name}.crt").write_bytes(self.certificate_pem)
        write_secret(folder / f"{name}.key", self.key_pem)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PEM text of a private key. SEC1, since the API server's loader of token keys knows no PKCS#8 for EC."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


class Authority:
    """A certificate authority of the cluster."""

    def __init__(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.pair = Pair(certificate, key)

    def client(self, user: str, *groups: str) -> Pair:
        """Certificate by which the API server knows `user` in `groups`."""
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._issue(subject, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, name: str, *hosts: str) -> Pair:
        """Serving certificate for host names and IP addresses."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issue(subject, ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def _issue(self, subject: x509.Name, usage: x509.ObjectIdentifier, hosts: tuple[str, ...]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self.pair.certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            # Python 3.13 and later refuse a certificate without this.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.pair.key.public_key()), critical=False
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return Pair(builder.sign(self.pair.key, hashes.SHA256()), key)


def write_credentials(spec: ClusterSpec, folder: Path) -> None:
    """Everything that the cluster's programs read: `ca`, `api-server`, `front-proxy`…, and kubeconfigs.

    `folder` is made. A node's kubeconfig is called after the node.
    """
    folder.mkdir(mode=0o700)
    authority, front = Authority("psvc-ca"), Authority("psvc-front-proxy-ca")
    authority.pair.write(folder, "ca")
    front.pair.write(folder, "front-proxy-ca")
    front.client("front-proxy-client").write(folder, "front-proxy-client")
    authority.client("kube-apiserver-kubelet-client", ADMINS).write(folder, "kubelet-client")
    authority.server("kube-apiserver", *api_server_hosts(spec)).write(folder, "api-server")
    # One serving certificate for both: made here, they need not make an RSA one of their own at start.
    authority.server("control-plane", "127.0.0.1", "localhost").write(folder, "control-plane")
    for node in spec.nodes:
        authority.server(f"system:node:{node.name}", node.name, node.address).write(folder, node.name)
    _write_token_keys(folder)
    authority.client("kubernetes-admin", ADMINS).write(folder, "admin")
    for name, (user, *groups) in _users(spec).items():
        config = kubeconfig(spec, authority, user, *groups)
        write_secret(folder / f"{name}.kubeconfig", config.encode())


def api_server_hosts(spec: ClusterSpec) -> list[str]:
    """Names and addresses by which clients call the API server."""
    service = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{DNS_DOMAIN}",
    ]
    addresses = {"127.0.0.1", spec.control_plane_address, spec.api_service_address}
    return [*service, "localhost", *sorted(addresses)]


def kubeconfig(spec: ClusterSpec, authority: Authority, user: str, *groups: str) -> str:
    """A kubeconfig (JSON is YAML) that holds its own certificate."""
    pair = authority.client(user, *groups)
    cluster = {"server": spec.server, "certificate-authority-data": _text(authority.pair.certificate_pem)}
    login = {"client-certificate-data": _text(pair.certificate_pem), "client-key-data": _text(pair.key_pem)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": spec.name,
        "clusters": [{"name": spec.name, "cluster": cluster}],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": spec.name, "context": {"cluster": spec.name, "user": user}}],
    }
    return json.dumps(content, indent=1)


def _users(spec: ClusterSpec) -> dict[str, tuple[str, ...]]:
    """Kubeconfig → user and groups. Roles of the `system:` users are built into Kubernetes."""
    users: dict[str, tuple[str, ...]] = {
        "admin": ("kubernetes-admin", ADMINS),
        "controller-manager": ("system:kube-controller-manager",),
        "scheduler": ("system:kube-scheduler",),
    }
    if spec.nodes:
        users["kube-proxy"] = ("system:kube-proxy",)
        users["kube-router"] = ("kube-router", ADMINS)
    return users | {n.name: (f"system:node:{n.name}", "system:nodes") for n in spec.nodes}


def _write_token_keys(folder: Path) -> None:
    """The pair that signs and checks service account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_secret(folder / "service-account.key", private_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "service-account.pub").write_bytes(public)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
