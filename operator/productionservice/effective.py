"""From the spec and the environment's profile to the numbers that apply. Shown in `status.effective`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType

from productionservice.api.network import IN_THE_CLUSTER, NEVER_NAMED
from productionservice.api.network import NEVER_REACHED as UNREACHABLE
from productionservice.api.v1alpha1 import (
    MOST_TEXT,
    EgressPeer,
    Environment,
    Image,
    IngressPeer,
    Spec,
    ZoneSpread,
)
from productionservice.contract import CONFIG_ENV, CONFIG_FOLDER, RESERVE_SECONDS
from productionservice.errors import InvalidSpec

SHORT_DIGEST = 12
"""Hex digits that stand for a digest where people read it, as `docker images` shows them."""
NEVER_REACHED = tuple(ip_network(range_) for range_ in UNREACHABLE)
"""As networks; the API says why."""


@dataclass(frozen=True)
class Profile:
    """Defaults of one environment."""

    replicas_min: int
    zones: ZoneSpread
    min_ready_seconds: int
    """A new pod counts as available once it was ready this long: catches what crashes right after."""


PROFILES: Mapping[Environment, Profile] = MappingProxyType({
    Environment.DEVELOPMENT: Profile(replicas_min=1, zones=ZoneSpread.IGNORED, min_ready_seconds=0),
    Environment.STAGING: Profile(replicas_min=2, zones=ZoneSpread.PREFERRED, min_ready_seconds=5),
    Environment.PRODUCTION: Profile(replicas_min=3, zones=ZoneSpread.PREFERRED, min_ready_seconds=5),
})  # fmt: skip


@dataclass(frozen=True)
class Effective:
    """Numbers that builders and status use instead of the spec's optional ones. All times in seconds."""

    replicas_min: int
    replicas_max: int
    autoscaled: bool
    """True when an autoscaler owns the number of pods between `replicas_min` and `replicas_max`."""
    cpu_percent: int
    scale_down_seconds: int
    """Average CPU use, in percent of the request, that the autoscaler aims at."""
    max_unavailable: int
    """Pods that node drains may take away at once; at least 1."""
    zones: ZoneSpread
    pre_stop_seconds: int
    """Sleep of the kubelet before SIGTERM."""
    propagation_seconds: int
    drain_seconds: int
    grace_seconds: int
    """`terminationGracePeriodSeconds`: pre-stop + drain + reserve."""
    min_ready_seconds: int
    progress_deadline_seconds: int
    """A rollout that makes no progress for this long is called stalled."""
    probe_port: int
    image: str
    """Reference that pods run."""
    version: str
    """Tag, or the first digits of the digest: how people name what runs."""


def compute_effective(spec: Spec) -> Effective:
    """The numbers that apply. Raises InvalidSpec when they contradict each other."""
    faults = _contradictions(spec)
    if faults:
        raise InvalidSpec(faults)
    profile = PROFILES[spec.environment]
    replicas_min = _replicas_min(spec)
    replicas_max = spec.replicas.max or replicas_min
    grace = _grace(spec)
    return Effective(
        replicas_min=replicas_min,
        replicas_max=replicas_max,
        autoscaled=replicas_max > replicas_min,
        cpu_percent=spec.replicas.cpu_percent,
        scale_down_seconds=spec.replicas.scale_down_seconds,
        max_unavailable=min(spec.availability.max_unavailable or 1, most_unavailable(replicas_min)),
        zones=spec.availability.zones or profile.zones,
        pre_stop_seconds=spec.shutdown.propagation_seconds,
        propagation_seconds=spec.shutdown.propagation_seconds,
        drain_seconds=spec.shutdown.drain_seconds,
        grace_seconds=grace,
        min_ready_seconds=profile.min_ready_seconds,
        # A surge pod starts and stays ready; then an old one leaves. 60 s for scheduling and the pull.
        progress_deadline_seconds=spec.probes.startup_seconds + grace + profile.min_ready_seconds + 60,
        probe_port=spec.probes.port or spec.admin_port,
        image=_reference(spec.image),
        version=_version(spec.image),
    )


def most_unavailable(replicas: int) -> int:
    """Most pods of `replicas` that drains may take at once: a majority stays when there are 3 or more.

    Never 0, which would block every drain: one or two pods cannot keep a majority and let the node go.
    """
    return max(1, (replicas + 1) // 2 - 1)


def _replicas_min(spec: Spec) -> int:
    """An explicit `max` below the profile's number wins: nobody asked for that number."""
    if spec.replicas.min is not None:
        return spec.replicas.min
    default = PROFILES[spec.environment].replicas_min
    return default if spec.replicas.max is None else min(default, spec.replicas.max)


def _grace(spec: Spec) -> int:
    return spec.shutdown.propagation_seconds + spec.shutdown.drain_seconds + RESERVE_SECONDS


def _contradictions(spec: Spec) -> list[str]:
    """Faults between fields. The CRD's rules refuse them first; this is for objects older than a rule."""
    faults = []
    if spec.image.tag is None and spec.image.digest is None:
        faults.append("spec.image: has neither tag nor digest: write one of them")
    if spec.image.tag == "latest":
        faults.append("spec.image.tag: latest means another image tomorrow: write the tag of one build")
    scraped = spec.observability.metrics.port
    if scraped not in {None, spec.port, spec.admin_port}:
        faults.append(
            f"spec.observability.metrics.port: the container listens on {spec.port} (port) and {spec.admin_port} "
            f"(adminPort), not on {scraped}: write one of them"
        )
    low, high = spec.replicas.min, spec.replicas.max
    if low is not None and high is not None and low > high:
        faults.append(f"spec.replicas: min {low} is more than max {high}: write a max of {low} or more")
    if _grace(spec) > spec.shutdown.max_seconds:
        faults.append(
            f"spec.shutdown: propagationSeconds {spec.shutdown.propagation_seconds} + drainSeconds "
            f"{spec.shutdown.drain_seconds} + {RESERVE_SECONDS} reserve = {_grace(spec)} is more than "
            f"maxSeconds {spec.shutdown.max_seconds}: shorten the drain or raise maxSeconds"
        )
    if (high or 0) > _replicas_min(spec) and spec.resources.requests.cpu is None:
        faults.append(
            "spec.resources.requests.cpu: is missing, and the autoscaler measures CPU use against it: "
            "write an amount such as 100m, or leave out replicas.max"
        )
    return faults + _too_much(spec) + _clashes(spec) + _bad_peers(spec)


def _too_much(spec: Spec) -> list[str]:
    """More text than the API server stores, in a Deployment, its ReplicaSets and each of the pods."""
    texts = [*spec.command, *spec.args, *(variable.value or "" for variable in spec.env)]
    size = sum(len(text.encode()) for text in texts)
    if size <= MOST_TEXT:
        return []
    return [
        f"spec.env: with spec.command and spec.args it holds {size} bytes of text, and every pod has a copy: write at "
        f"most {MOST_TEXT}, and the rest into a ConfigMap that spec.mounts names"
    ]


def _clashes(spec: Spec) -> list[str]:
    """Names that stand twice. The API server answers those with HTTP 500, as if it were its fault."""
    lists = {
        "spec.image.pullSecrets": spec.image.pull_secrets,
        "spec.env": [CONFIG_ENV, *(variable.name for variable in spec.env)],
        "spec.mounts": [CONFIG_FOLDER, *(mount.path.rstrip("/") for mount in spec.mounts)],
    }
    reserved = dict.fromkeys((CONFIG_ENV, CONFIG_FOLDER), "is for the operator: remove it")
    return [
        f"{field}: {name} {reserved.get(name, 'is there twice: remove one')}"
        for field, names in lists.items()
        for name, count in Counter(names).items()
        if count > 1
    ]


def _bad_peers(spec: Spec) -> list[str]:
    """Peers that name nobody, no address range, or one that leads to the node's credentials."""
    network = spec.network
    callers = [_peer_fault(peer) for peer in network.allow_from]
    called = [_peer_fault(peer) or _target_fault(peer) for peer in network.allow_to]
    return [
        f"spec.network.{field}[{index}]{fault}"
        for field, found in (("allowFrom", callers), ("allowTo", called))
        for index, fault in enumerate(found)
        if fault
    ]


def _peer_fault(peer: IngressPeer | EgressPeer) -> str:
    kinds = ("service", "cidr", "fqdn") if isinstance(peer, EgressPeer) else ("service", "cidr")
    if sum(getattr(peer, kind) is not None for kind in kinds) != 1:
        return f": names not exactly one of {', '.join(kinds[:-1])} and {kinds[-1]}: write one of them"
    if peer.cidr is None:
        return ""
    try:
        network = ip_network(peer.cidr, strict=False)
    except ValueError:
        return f".cidr: {peer.cidr} is no address range: write one such as 10.20.0.0/16"
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        return f".cidr: {peer.cidr} hides IPv4 addresses: write the range in its IPv4 form"
    return "" if peer.cidr == str(network) else f".cidr: {peer.cidr} is not in plain form: write {network}"


def _target_fault(peer: EgressPeer) -> str:
    if peer.fqdn is not None:
        return _host_fault(peer.fqdn, peer.port)
    if peer.cidr is None:
        return ""
    if any(contains(never, ip_network(peer.cidr)) for never in NEVER_REACHED):
        return f".cidr: {peer.cidr} is link-local, where the node's credentials are handed out: remove it"
    return "" if peer.port else f".port: is missing for {peer.cidr}: write the port that may be called there"


def _host_fault(fqdn: str, port: int | None) -> str:
    if re.search(NEVER_NAMED, fqdn):
        return f".fqdn: {fqdn} is, or fits, a host that hands out the credentials of the node: remove it"
    if re.search(IN_THE_CLUSTER, fqdn):
        return f".fqdn: {fqdn} is in the cluster, where names open nothing: write service or cidr"
    return "" if port else f".port: is missing for {fqdn}: write the port that may be called there"


def contains(network: IPv4Network | IPv6Network, part: IPv4Network | IPv6Network) -> bool:
    """True when all of `part` lies in `network`. Ranges of the two IP versions never contain each other."""
    if isinstance(network, IPv4Network):
        return isinstance(part, IPv4Network) and part.subnet_of(network)
    return isinstance(part, IPv6Network) and part.subnet_of(network)


def _reference(image: Image) -> str:
    tag = f":{image.tag}" if image.tag else ""
    digest = f"@{image.digest}" if image.digest else ""
    return f"{image.repository}{tag}{digest}"


def _version(image: Image) -> str:
    if image.tag:
        return image.tag
    return (image.digest or "").removeprefix("sha256:")[:SHORT_DIGEST]
