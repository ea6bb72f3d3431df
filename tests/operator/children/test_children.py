"""What holds for every child, and the points of single kinds that a rendering does not explain."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from typing import Any

import pytest

from productionservice import children as package
from productionservice import contract, labels
from productionservice.children import APPLY_ORDER, CHILDREN, BuildContext
from productionservice.children.quantity import amount, canonical
from productionservice.names import volume_name
from tests.support.builders import IMAGE, children, container, make_service, rendered

NOT_A_KIND = {"context", "exposure", "pod", "quantity", "references"}


def test_each_kind_has_its_module_with_one_builder() -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)} - NOT_A_KIND
    builders = {
        name: [n for n, f in inspect.getmembers(module, inspect.isfunction) if n == f"build_{name}"]
        for name in modules
        for module in [importlib.import_module(f"productionservice.children.{name}")]
    }

    assert builders == {name: [f"build_{name}"] for name in modules}
    assert {builder.__name__ for _, builder in CHILDREN} == {f"build_{name}" for name in modules}


def test_kinds_are_unique_so_that_a_kind_and_a_name_identify_a_child() -> None:
    assert len(APPLY_ORDER) == len(CHILDREN)
    assert [kind.group for kind, _ in CHILDREN] == [
        "",
        "networking.k8s.io",
        "cilium.io",
        "",
        "apps",
        "policy",
        "autoscaling",
        "monitoring.coreos.com",
        "networking.k8s.io",
        "gateway.networking.k8s.io",
        "gateway.networking.k8s.io",
        "cert-manager.io",
    ]


def test_digest_tells_contents_apart() -> None:
    def digests(**spec: Any) -> dict[str, str]:
        found = children(make_service(**spec)).items()
        return {kind: m["metadata"]["annotations"][labels.APPLIED_DIGEST] for kind, m in found}

    before, after = digests(), digests(args=["--verbose"])

    assert before == digests()
    assert {kind for kind in before if before[kind] != after[kind]} == {"Deployment"}


def test_a_new_image_rewrites_the_deployment_only() -> None:
    before, after = children(make_service()), children(make_service(image={"repository": "r/c", "tag": "v2"}))

    assert {kind for kind in before if before[kind] != after[kind]} == {"Deployment"}


def test_the_order_of_variables_and_mounts_in_the_spec_never_restarts_a_pod() -> None:
    env = [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]
    mounts = [{"path": "/b", "secret": "b"}, {"path": "/a", "configMap": "a"}]

    assert children(make_service(env=env, mounts=mounts)) == children(
        make_service(env=env[::-1], mounts=mounts[::-1])
    )


def test_the_document_says_what_the_service_has_to_know() -> None:
    service = make_service(port=8080, adminPort=9090, shutdown={"propagationSeconds": 7, "drainSeconds": 30})
    template = children(service)["Deployment"]["spec"]["template"]

    assert json.loads(template["metadata"]["annotations"][labels.CONFIG]) == {
        "apiVersion": "productionservice.io/v1alpha1",
        "name": "catalog",
        "namespace": "shop",
        "version": "v1.4.2",
        "environment": "production",
        "port": 8080,
        "adminPort": 9090,
        "shutdown": {"preStopSeconds": 7, "propagationSeconds": 7, "drainSeconds": 30},
    }


def test_the_document_is_where_the_variable_says() -> None:
    found = container(make_service())
    pod = children(make_service())["Deployment"]["spec"]["template"]["spec"]
    item = pod["volumes"][0]["downwardAPI"]["items"][0]

    assert found["env"] == [{"name": contract.CONFIG_ENV, "value": contract.CONFIG_PATH}]
    assert f"{found['volumeMounts'][0]['mountPath']}/{item['path']}" == contract.CONFIG_PATH
    assert item["fieldRef"]["fieldPath"] == f"metadata.annotations['{labels.CONFIG}']"


@pytest.mark.parametrize("path", ["/tmp", "/tmp/"])  # noqa: S108 - a path in the container
def test_a_mount_of_ones_own_replaces_the_scratch_folder(path: str) -> None:
    mounts = container(make_service(mounts=[{"path": path, "scratch": {"size": "1Gi"}}]))["volumeMounts"]

    assert [m["mountPath"] for m in mounts] == [contract.CONFIG_FOLDER, path]


def test_dns_is_where_the_operators_configuration_says() -> None:
    context = BuildContext(dns_namespace="dns", dns_labels={"app": "resolver"}, dns_ports=(53, 5353))
    policy = next(m for m in rendered(make_service(), context) if m["kind"] == "NetworkPolicy")

    assert policy["spec"]["egress"][0]["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dns"}},
            "podSelector": {"matchLabels": {"app": "resolver"}},
        }
    ]
    ports = [(p["port"], p["protocol"]) for p in policy["spec"]["egress"][0]["ports"]]
    assert ports == [(53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP")]


def test_a_dns_cache_on_the_node_is_opened_on_its_port_alone() -> None:
    context = BuildContext(dns_ports=(5353,), dns_addresses=("169.254.20.10", "fd00::10"))
    policy = next(m for m in rendered(make_service(), context) if m["kind"] == "NetworkPolicy")

    assert policy["spec"]["egress"][1] == {
        "to": [{"ipBlock": {"cidr": "169.254.20.10/32"}}, {"ipBlock": {"cidr": "fd00::10/128"}}],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }


def test_the_url_is_the_services() -> None:
    service = make_service(name="catalog", namespace="shop")
    [port] = children(service)["Service"]["spec"]["ports"]

    assert contract.service_url(service) == "http://catalog.shop.svc"
    assert port["port"] == 80  # what a URL without a port means


def test_volume_names_stay_distinct_and_short() -> None:
    names = {volume_name(path) for path in ("/a/b", "/a-b", "/A/b", "/a/b/", f"/{'x' * 250}", "/€")}

    assert len(names) == 6
    assert max(map(len, names)) <= 63


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"), ("0.0", "0"), ("0Mi", "0"), ("007", "7"), ("1", "1"), ("0.5", "500m"),
        ("1.234", "1234m"), ("1000m", "1"), ("1500m", "1500m"), ("1000k", "1M"), ("1000", "1k"),
        ("2000Gi", "2000Gi"), ("8Gi", "8Gi"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0.5Ki", "512"),
        ("0.1Mi", "104857600m"), ("0.0000000001", "1n"), ("9999999999Ti", "9223372036854775807"),
    ],
)  # fmt: skip
def test_quantities_are_written_as_the_api_server_writes_them(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["", "Mi", "1 Gi", "-1", "1e3", "1Zi", "ten"])
def test_what_is_no_quantity_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no quantity|has the unknown unit") as caught:
        amount(text)
    assert repr(text) in str(caught.value)


def test_resources_that_were_emptied_stay_empty_and_a_tag_alone_names_the_image() -> None:
    made = container(make_service(resources={"requests": {}, "limits": {}}))

    assert "resources" not in made
    assert made["image"] == f"{IMAGE['repository']}:{IMAGE['tag']}"
