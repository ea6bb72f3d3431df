"""How a service is reached from outside."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from productionservice.api.markers import CelRule, ListKey, ListSet, Text
from productionservice.api.model import Model, NamespaceName, ObjectName

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
HostName = Annotated[
    str,
    Field(min_length=3, max_length=253, pattern=f"^{_LABEL}([.]{_LABEL})+$"),
    Text("name of a host", "a full name in lower case without * and port, such as catalog.example"),
]


class IssuerKind(StrEnum):
    """Where cert-manager finds the issuer."""

    ISSUER = "Issuer"
    CLUSTER_ISSUER = "ClusterIssuer"


class Issuer(Model):
    """Who signs the certificate."""

    kind: IssuerKind = IssuerKind.CLUSTER_ISSUER
    """`Issuer`: in the service's namespace. `ClusterIssuer`: the platform's."""
    name: ObjectName
    """Name of the issuer."""


class Tls(Model):
    """HTTPS, with a certificate that cert-manager keeps valid."""

    issuer: Issuer
    """Who signs the certificate."""


class IngressRoute(Model):
    """Reach it by an Ingress."""

    class_name: ObjectName
    """Name of the IngressClass."""


class PlatformGateway(Model):
    """Reach it by this Gateway of the platform's. Which ones may be named, the operator's configuration says."""

    namespace: NamespaceName
    """Where the Gateway is."""
    name: ObjectName
    """Name of the Gateway."""


OF_ONE_ANSWER = (
    "connection", "content-encoding", "content-length", "content-type", "keep-alive", "location", "set-cookie", "te",
    "trailer", "transfer-encoding", "upgrade", "www-authenticate",
)  # fmt: skip
"""Headers, in lower case, that say something of one answer or one connection."""


class ResponseHeader(Model):
    """One header that the edge sets on each answer."""

    RULES = (
        CelRule(
            f"!(self.name.lowerAscii() in [{', '.join(repr(name) for name in OF_ONE_ANSWER)}])",
            "headers: this one belongs to one answer; write one that is the same on all, such as Referrer-Policy",
            "'headers: %s belongs to one answer; write one that is the same on all, such as Referrer-Policy'"
            ".format([self.name])",
            ".name",
        ),
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9-]*$"),
        Text("name of a header", "letters, digits and -, such as Referrer-Policy"),
    ]
    """Name of the header; capitals make no difference."""
    value: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern=r"^[!-~]([ -~]*[!-~])?$"),
        Text("value of a header", "ASCII on one line, without spaces at its ends"),
    ]
    """Its value, whatever the service itself says."""


class Expose(Model):
    """Reached from outside of the cluster. Of two services that claim the same host, the older one has it."""

    RULES = (
        CelRule(
            "!has(self.gateway) || !has(self.ingress)",
            "expose: write gateway or ingress, not both",
            "'expose: gateway %s/%s and ingress %s are two ways; write one of them'.format([self.gateway.namespace, "
            "self.gateway.name, self.ingress.className])",
            ".gateway",
        ),
        CelRule(
            "self.headers.all(one, self.headers.exists_one(other, "
            "other.name.lowerAscii() == one.name.lowerAscii()))",
            "expose.headers: capitals make no difference in the name of a header; write each once",
            field_path=".headers",
        ),
    )

    hosts: Annotated[list[HostName], Field(min_length=1, max_length=16), ListSet()]
    """Names by which it is reached. `status.url` has the first."""
    gateway: PlatformGateway | None = None
    """By this one of the Gateways that the platform offers (`config.edge` of the chart). Default: its first one."""
    ingress: IngressRoute | None = None
    """By an Ingress of this class. Default: as the operator's configuration says (`config.edge` of the chart)."""
    tls: Tls | None = None
    """HTTPS, and on Gateway API a redirect to it. Default: plain HTTP."""
    headers: Annotated[list[ResponseHeader], Field(max_length=12), ListKey(("name",))] = []
    """Set by the edge on each answer. It sets `X-Content-Type-Options`, and with TLS `Strict-Transport-Security`, by
    itself; another value for these can be written here. Gateway API only."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Longest time that the edge gives a request, until the whole answer is there. Gateway API only, and only where the
    implementation has it. Default: the implementation's."""
