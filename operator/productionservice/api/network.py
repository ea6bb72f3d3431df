"""Who may talk to whom."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Annotated

from pydantic import Field

from productionservice.api.markers import CelRule, Text
from productionservice.api.model import Model, Port, ServiceName, exactly_one

_IPV4 = (
    "169.254.0.0/16",  # link-local: 169.254.169.254 of most clouds, 169.254.170.2 and .23 of AWS' ECS and EKS
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure's agent endpoint
    "192.0.0.192/32",  # Oracle Cloud
)
_IPV6 = (
    "fe80::/10",  # link-local
    "fd00:ec2::254/128",  # AWS over IPv6
    "fd00:ec2::23/128",  # AWS' EKS Pod Identity over IPv6
    "fd20:ce::254/128",  # Google Cloud over IPv6
)


def _through_nat64(range_: str) -> str:
    """The addresses by which a NAT64 gateway is asked for these (RFC 6052, its well-known prefix)."""
    ipv4 = IPv4Network(range_)
    first = int(IPv6Address("64:ff9b::")) | int(ipv4.network_address)
    return str(IPv6Network((first, 96 + ipv4.prefixlen)))


NEVER_REACHED = (*_IPV4, *_IPV6, *map(_through_nat64, _IPV4))
"""Where clouds hand out the node's or the pod's credentials: no peer may be one of these, and a larger range has them
as holes."""
NEVER_NAMED = (
    r"^(metadata|instance-data|[*])[.](google|azure|ec2|([a-z0-9-]+[.])?compute)[.]internal$|"
    r"^metadata[.]goog$|^(metadata|[*])[.]tencentyun[.]com$"
)
"""Names of those addresses, and patterns that such a name fits. A name can lead anywhere, so the addresses are shut
whatever was asked for (`children.cilium_network_policy`): this only says so early."""
IN_THE_CLUSTER = r"[.](svc|cluster[.]local)$"
"""Names of Services. Cilium opens no pod by its name."""

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# The last part begins with a letter: an address is no name.
HostPattern = Annotated[
    str,
    Field(min_length=3, max_length=253, pattern=f"^([*][.])?({_LABEL}[.])+[a-z]([-a-z0-9]*[a-z0-9])?$"),
    Text(
        "name of a host",
        "a full one in lower case without port, such as api.example or *.api.example, and an address as cidr",
    ),
]

_SHUT = " && ".join(f"!cidr('{range_}').containsCIDR(self.cidr)" for range_ in NEVER_REACHED)


def _cidr_rules(owner: str) -> tuple[CelRule, ...]:
    """An address range must be one, must not be everything, and never reach a node's credentials."""
    given, path = "!has(self.cidr) || !isCIDR(self.cidr) || ", ".cidr"
    return (
        CelRule(
            "!has(self.cidr) || isCIDR(self.cidr)",
            f"{owner}.cidr: write an address range such as 10.20.0.0/16",
            f"'{owner}.cidr: %s is no address range; write one such as 10.20.0.0/16'.format([self.cidr])",
            path,
        ),
        CelRule(
            f"{given}string(cidr(self.cidr).masked()) == self.cidr",
            f"{owner}.cidr: write the range in its plain form, such as 10.20.0.0/16 and not 10.20.1.7/16",
            f"'{owner}.cidr: %s is not in plain form; write %s'.format("
            "[self.cidr, string(cidr(self.cidr).masked())])",
            path,
        ),
        CelRule(
            f"{given}cidr(self.cidr).prefixLength() > 0",
            f"{owner}.cidr: this is every address there is; write the range that is meant",
            field_path=path,
        ),
        CelRule(
            f"{given}cidr(self.cidr).prefixLength() == 0 || (!cidr(self.cidr).containsIP('169.254.169.254') && "
            f"!cidr(self.cidr).containsIP('fd00:ec2::254') && {_SHUT})",
            f"{owner}.cidr: this range is link-local or holds the node's metadata address (169.254.169.254), which "
            "hands out credentials; write a range without it",
            f"'{owner}.cidr: %s is link-local or holds the metadata address (169.254.169.254) of the node, which "
            "hands out credentials; write a range without it'.format([self.cidr])",
            path,
        ),
    )


class Protocol(StrEnum):
    """Transport protocol of a network peer."""

    TCP = "TCP"
    UDP = "UDP"


class IngressPeer(Model):
    """Who may call: exactly one of `service`, `cidr`."""

    RULES = (
        CelRule(
            exactly_one("service", "cidr"),
            "network.allowFrom: write exactly one of service and cidr in each entry",
        ),
        *_cidr_rules("network.allowFrom"),
    )

    service: ServiceName | None = None
    """Name of a ProductionService in the same namespace."""
    cidr: Annotated[str, Field(max_length=43)] | None = None
    """Address range, for example `10.20.0.0/16`."""


class EgressPeer(Model):
    """Who may be called: exactly one of `service`, `cidr`, `fqdn`."""

    RULES = (
        CelRule(
            exactly_one("service", "cidr", "fqdn"),
            "network.allowTo: write exactly one of service, cidr and fqdn in each entry",
        ),
        CelRule(
            "!has(self.cidr) || has(self.port)",
            "network.allowTo.port: write the port that is meant at this address range",
            field_path=".port",
        ),
        CelRule(
            "!has(self.fqdn) || has(self.port)",
            "network.allowTo.port: write the port that is meant at this host",
            "'network.allowTo.port: write the port that is meant at %s'.format([self.fqdn])",
            ".port",
        ),
        CelRule(
            f"!has(self.fqdn) || !self.fqdn.matches(r'{NEVER_NAMED}')",
            "network.allowTo.fqdn: this host hands out the credentials of the node; write another one",
            "'network.allowTo.fqdn: %s is, or fits, a host that hands out the credentials of the node; write the "
            "one that is meant instead'.format([self.fqdn])",
            ".fqdn",
        ),
        CelRule(
            f"!has(self.fqdn) || !self.fqdn.matches(r'{IN_THE_CLUSTER}')",
            "network.allowTo.fqdn: a host in the cluster is opened as service, or by cidr",
            "'network.allowTo.fqdn: %s is in the cluster, where names open nothing; write service: NAME for a "
            "service of the namespace, or cidr'.format([self.fqdn])",
            ".fqdn",
        ),
        CelRule(
            "!has(self.service) || !has(self.port)",
            "network.allowTo.port: leave it out; the traffic port of the service is opened",
            field_path=".port",
        ),
        *_cidr_rules("network.allowTo"),
    )

    service: ServiceName | None = None
    """Name of a ProductionService in the same namespace; its traffic port is opened."""
    cidr: Annotated[str, Field(max_length=43)] | None = None
    """Address range, for example `10.20.0.0/16`. Needs `port`."""
    fqdn: HostPattern | None = None
    """Name of a host outside of the cluster, for example `api.example`, or `*.api.example` for the names one level
    below it. Needs `port`, and Cilium in the cluster: without, the host stays closed."""
    port: Port | None = None
    """Port at the address range or host."""
    protocol: Protocol = Protocol.TCP
    """Transport protocol at the address range or host."""


class Network(Model):
    """Who may talk to whom. Everything else is denied, in both directions; DNS and probes are always allowed."""

    allow_from: Annotated[list[IngressPeer], Field(max_length=64)] = []
    """Callers of the traffic port."""
    allow_to: Annotated[list[EgressPeer], Field(max_length=64)] = []
    """What the service may call."""
