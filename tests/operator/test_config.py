"""The operator's settings come from the environment, and a wrong one is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from productionservice.config import PREFIX, ConfigError, OperatorConfig
from productionservice.main import main


def read(**variables: str) -> OperatorConfig:
    return OperatorConfig.from_environment({PREFIX + name: value for name, value in variables.items()})


def test_defaults() -> None:
    config = read()

    assert (config.namespaces, config.workers, config.leader_election, config.http_port) == (
        (),
        16,
        True,
        8080,
    )
    assert config.dns_labels == {"k8s-app": "kube-dns"}


def test_values_are_read() -> None:
    config = read(
        NAMESPACES="shop, edge", LEADER_ELECTION="false", DNS_LABELS="app=dns,tier=system", WORKERS="2"
    )

    assert config.namespaces == ("shop", "edge")
    assert config.dns_labels == {"app": "dns", "tier": "system"}
    assert (config.leader_election, config.workers) == (False, 2)


def test_a_dns_cache_on_the_node_is_no_place_for_credentials() -> None:
    assert [str(a) for a in read(DNS_ADDRESSES="169.254.20.10, fd00::10").dns_addresses] == [
        "169.254.20.10",
        "fd00::10",
    ]
    for address in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "fd00:ec2::254"):
        with pytest.raises(
            ConfigError, match=f"DNS_ADDRESSES.*{address}.*write the address of the DNS cache"
        ):
            read(DNS_ADDRESSES=address)
    with pytest.raises(ConfigError, match="DNS_ADDRESSES"):
        read(DNS_ADDRESSES="cache")


def test_further_gateways_are_read_with_the_names_of_the_chart() -> None:
    text = '[{"namespace": "a", "name": "b", "className": "c", "pods": {"namespace": "d"}}]'
    (gateway,) = read(EDGE_GATEWAYS=text).edge_gateways

    assert (gateway.namespace, gateway.name, gateway.class_name, gateway.listener) == ("a", "b", "c", "http")
    assert gateway.pods is not None
    assert gateway.pods.namespace == "d"
    assert read(EDGE_GATEWAYS="[]").edge_gateways == ()


def test_own_kubeconfig_setting_wins_over_the_usual_variable() -> None:
    both = {"KUBECONFIG": "/theirs", f"{PREFIX}KUBECONFIG": "/ours"}

    assert OperatorConfig.from_environment(both).kubeconfig == Path("/ours")
    assert OperatorConfig.from_environment({"KUBECONFIG": "/theirs"}).kubeconfig == Path("/theirs")


def test_ipv6_address_of_the_api_server() -> None:
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}

    assert OperatorConfig.from_environment(env).api_host == "[fd00::1]:6443"


def test_what_the_kubelet_sets_for_services_is_not_mistaken_for_settings() -> None:
    links = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT_METRICS": "8080",
        "PORT_8080_TCP_ADDR": "10.0.0.1",
        "PORT": "tcp://x",
    }

    assert read(**links, METRICS_SERVICE_PORT="8080").http_port == 8080


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("WORKERS", "many", "WORKERS: `many`"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("NAMESPACES", "shop;edge", "`shop;edge` is no name of a namespace"),
        ("DNS_LABELS", "kube-dns", "write key=value,key=value"),
        ("DNS_PORTS", "53,dns", "DNS_PORTS 1: `dns`"),
        ("DNS_PORTS", "0", "greater than or equal to 1"),
        ("DNS_PORTS", "", "at least 1 item"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("EDGE_GATEWAYS", "edge/internal", "EDGE_GATEWAYS: `edge/internal`: Invalid JSON"),
        ("EDGE_GATEWAYS", '[{"namespace": "a", "name": "b"}]', "EDGE_GATEWAYS 0 className"),
        ("WORKRES", "8", "WORKRES: there is no such setting"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(**{variable: value})

    assert f"{PREFIX}{variable}" in str(refused.value)
    assert words in str(refused.value)


def test_every_setting_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out

    assert [name for name in OperatorConfig.model_fields if f"{PREFIX}{name.upper()}:" not in shown] == []
    assert "example:" in shown


def test_wrong_settings_end_with_one_line_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"{PREFIX}WORKERS", "many")

    assert main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1
