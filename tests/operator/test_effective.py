"""The numbers that apply, and the refusals."""

from __future__ import annotations

from typing import Any

import pytest

from productionservice.api.v1alpha1 import ZoneSpread
from productionservice.effective import Effective, compute_effective
from productionservice.errors import InvalidSpec
from tests.support.builders import IMAGE, make_service

DIGEST = f"sha256:0123456789ab{'0' * 52}"


def effective(**spec: Any) -> Effective:
    return compute_effective(make_service(**spec).spec)


def refusal(**spec: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        effective(**spec)
    return str(caught.value)


@pytest.mark.parametrize(
    ("environment", "replicas", "zones", "min_ready"),
    [
        ("development", 1, ZoneSpread.IGNORED, 0),
        ("staging", 2, ZoneSpread.PREFERRED, 5),
        ("production", 3, ZoneSpread.PREFERRED, 5),
    ],
)
def test_environment_gives_the_defaults(
    environment: str, replicas: int, zones: ZoneSpread, min_ready: int
) -> None:
    found = effective(environment=environment)

    assert (found.replicas_min, found.replicas_max, found.autoscaled) == (replicas, replicas, False)
    assert (found.zones, found.min_ready_seconds) == (zones, min_ready)


def test_spec_wins_over_the_environment() -> None:
    found = effective(
        environment="production",
        replicas={"min": 2, "max": 9, "cpuPercent": 55},
        availability={"zones": "Required"},
    )

    assert (found.replicas_min, found.replicas_max, found.autoscaled, found.cpu_percent) == (2, 9, True, 55)
    assert found.zones is ZoneSpread.REQUIRED


def test_max_alone_below_the_default_is_a_fixed_number() -> None:
    found = effective(replicas={"max": 2})

    assert (found.replicas_min, found.replicas_max, found.autoscaled) == (2, 2, False)


def test_grace_period_is_propagation_and_drain_and_ten_seconds() -> None:
    found = effective(shutdown={"propagationSeconds": 7, "drainSeconds": 30}, probes={"startupSeconds": 90})

    assert (found.pre_stop_seconds, found.propagation_seconds, found.drain_seconds) == (7, 7, 30)
    assert found.grace_seconds == 47
    assert found.progress_deadline_seconds == 90 + 47 + 5 + 60


@pytest.mark.parametrize(
    ("replicas", "wanted", "expected"),
    [(1, None, 1), (2, None, 1), (3, None, 1), (3, 2, 1), (4, 3, 1), (5, 2, 2), (5, 4, 2), (9, 9, 4)],
)  # fmt: skip
def test_drains_never_take_the_majority(replicas: int, wanted: int | None, expected: int) -> None:
    availability = {} if wanted is None else {"maxUnavailable": wanted}

    assert effective(replicas={"min": replicas}, availability=availability).max_unavailable == expected


@pytest.mark.parametrize(
    ("image", "reference", "version"),
    [
        ({"tag": "v1"}, "r/c:v1", "v1"),
        ({"digest": DIGEST}, f"r/c@{DIGEST}", "0123456789ab"),
        ({"tag": "v1", "digest": DIGEST}, f"r/c:v1@{DIGEST}", "v1"),
    ],
)
def test_image_and_version(image: dict[str, str], reference: str, version: str) -> None:
    found = effective(image={"repository": "r/c", **image})

    assert (found.image, found.version) == (reference, version)


def test_probes_ask_the_admin_port_unless_told() -> None:
    assert effective().probe_port == 9000
    assert effective(adminPort=8000).probe_port == 8000
    assert effective(probes={"port": 8080}).probe_port == 8080


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"image": {"repository": "r/c"}}, "spec.image: has neither tag nor digest: write one of them"),
        (
            {"image": {"repository": "r/c", "tag": "latest"}},
            "spec.image.tag: latest means another image tomorrow: write the tag of one build",
        ),
        (
            {"image": {**IMAGE, "pullSecrets": ["a", "b", "a"]}},
            "spec.image.pullSecrets: a is there twice: remove one",
        ),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
            "spec.env: A is there twice: remove one",
        ),
        (
            {"env": [{"name": "PRODUCTIONSERVICE_CONFIG", "value": "1"}]},
            "spec.env: PRODUCTIONSERVICE_CONFIG is for the operator: remove it",
        ),
        (
            {"mounts": [{"path": "/a", "secret": "x"}, {"path": "/a/", "secret": "y"}]},
            "spec.mounts: /a is there twice: remove one",
        ),
        (
            {"mounts": [{"path": "/etc/productionservice", "secret": "x"}]},
            "spec.mounts: /etc/productionservice is for the operator: remove it",
        ),
        (
            {"env": [{"name": f"V{number}", "value": "ü" * 16384} for number in range(2)], "args": ["x"]},
            "spec.env: with spec.command and spec.args it holds 65537 bytes of text, and every pod has a copy: write "
            "at most 65536, and the rest into a ConfigMap that spec.mounts names",
        ),
        (
            {"replicas": {"min": 5, "max": 4}},
            "spec.replicas: min 5 is more than max 4: write a max of 5 or more",
        ),
        (
            {"shutdown": {"propagationSeconds": 5, "drainSeconds": 20, "maxSeconds": 34}},
            "spec.shutdown: propagationSeconds 5 + drainSeconds 20 + 10 reserve = 35 is more than "
            "maxSeconds 34: shorten the drain or raise maxSeconds",
        ),
        (
            {"replicas": {"max": 9}, "resources": {"requests": {"memory": "1Gi"}}},
            "spec.resources.requests.cpu: is missing, and the autoscaler measures CPU use against it: "
            "write an amount such as 100m, or leave out replicas.max",
        ),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(spec: dict[str, Any], message: str) -> None:
    assert refusal(**spec) == message


ONE_OF = ": names not exactly one of service and cidr: write one of them"
ONE_OF_THREE = ": names not exactly one of service, cidr and fqdn: write one of them"
CREDENTIALS = "is, or fits, a host that hands out the credentials of the node: remove it"
LINK_LOCAL = "is link-local, where the node's credentials are handed out: remove it"
MAPPED = "::ffff:169.254.169.254/128"


@pytest.mark.parametrize(
    ("field", "peer", "message"),
    [
        ("allowFrom", {}, ONE_OF),
        ("allowTo", {"service": "a", "cidr": "10.0.0.0/8", "port": 1}, ONE_OF_THREE),
        ("allowTo", {"fqdn": "a.example", "cidr": "10.0.0.0/8", "port": 1}, ONE_OF_THREE),
        (
            "allowTo",
            {"fqdn": "a.example"},
            ".port: is missing for a.example: write the port that may be called there",
        ),
        (
            "allowTo",
            {"fqdn": "metadata.google.internal", "port": 80},
            f".fqdn: metadata.google.internal {CREDENTIALS}",
        ),
        ("allowTo", {"fqdn": "*.compute.internal", "port": 80}, f".fqdn: *.compute.internal {CREDENTIALS}"),
        (
            "allowTo",
            {"fqdn": "web.shop.svc", "port": 80},
            ".fqdn: web.shop.svc is in the cluster, where names open nothing: write service or cidr",
        ),
        ("allowFrom", {"cidr": "web"}, ".cidr: web is no address range: write one such as 10.20.0.0/16"),
        ("allowFrom", {"cidr": "10.2.0.1/16"}, ".cidr: 10.2.0.1/16 is not in plain form: write 10.2.0.0/16"),
        ("allowFrom", {"cidr": "10.2.0.1"}, ".cidr: 10.2.0.1 is not in plain form: write 10.2.0.1/32"),
        (
            "allowTo",
            {"cidr": "10.0.0.0/8"},
            ".port: is missing for 10.0.0.0/8: write the port that may be called there",
        ),
        ("allowTo", {"cidr": "169.254.169.254/32", "port": 80}, f".cidr: 169.254.169.254/32 {LINK_LOCAL}"),
        ("allowTo", {"cidr": "169.254.0.0/16", "port": 80}, f".cidr: 169.254.0.0/16 {LINK_LOCAL}"),
        ("allowTo", {"cidr": "fe80::/64", "port": 80}, f".cidr: fe80::/64 {LINK_LOCAL}"),
        (
            "allowTo",
            {"cidr": MAPPED, "port": 80},
            f".cidr: {MAPPED} hides IPv4 addresses: write the range in its IPv4 form",
        ),
    ],
)
def test_peers_that_cannot_be_meant_are_refused(field: str, peer: dict[str, Any], message: str) -> None:
    good = {"service": "web"}

    assert refusal(network={field: [good, peer]}) == f"spec.network.{field}[1]{message}"


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidSpec) as caught:
        effective(image={**IMAGE, "tag": None}, replicas={"min": 5, "max": 4})

    assert len(caught.value.problems) == 2
