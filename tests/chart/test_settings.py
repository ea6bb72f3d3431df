"""The chart and the operator agree on the operator's settings, their names and their defaults."""

from __future__ import annotations

import pytest
import yaml

from productionservice import __version__
from productionservice.config import PREFIX, EdgePods, OperatorConfig
from tests.chart.rendering import CHART, environment, pod_spec, render
from tests.chart.test_rendering import ODD

pytestmark = pytest.mark.api  # needs Helm, which is built with the cluster's other tools

NOT_IN_THE_CHART = {
    "leader_election": "always on: an update runs two replicas side by side",
    "lease_namespace": "the pod's own",
    "identity": "unique by itself",
    "http_host": "all addresses of the pod",
    "http_port": "fixed, as Service, probes and NetworkPolicy name it",
    "webhook_port": "fixed, as Service and NetworkPolicy name it",
    "kubeconfig": "outside of a cluster only",
    "api_host": "from the kubelet",
}


def test_every_setting_is_in_the_chart_or_left_out_on_purpose() -> None:
    settings = {PREFIX + name.upper() for name in OperatorConfig.model_fields if name not in NOT_IN_THE_CHART}

    assert set(environment(render())) == settings


def test_the_charts_defaults_are_the_operators() -> None:
    given = OperatorConfig.from_environment(environment(render()))
    default = OperatorConfig.from_environment({})
    # Outside of a cluster there is no certificate, and so no webhook.
    different = {"identity", "webhook_certificates"}

    assert given.model_dump(exclude=different) == default.model_dump(exclude=different)


def test_the_operator_understands_odd_values() -> None:
    config = OperatorConfig.from_environment(environment(render(ODD)))

    assert config.namespaces == ("shop", "web")
    assert config.log_level == "debug"
    assert (config.dns_namespace, dict(config.dns_labels)) == ("dns", {"app": "dns", "tier": "infra"})
    assert (config.dns_ports, [str(each) for each in config.dns_addresses]) == ((5353,), ["169.254.20.10"])
    assert (config.monitoring_namespace, dict(config.monitor_labels)) == ("watch", {"release": "main"})
    assert (config.edge_gateway, config.edge_ingress_class) == ("", "nginx")
    internal, partners = config.edge_gateways
    assert (internal.namespace, internal.listener, internal.class_name) == ("edge", "http", "private")
    assert internal.pods is None
    assert (partners.name, partners.listener, partners.pods) == (
        "partners", "web", EdgePods(namespace="dmz", labels={"app": "proxy"}),
    )  # fmt: skip
    assert (config.edge_namespace, dict(config.edge_labels)) == ("ingress", {"app": "nginx", "tier": "edge"})
    assert config.zones == 3


def test_the_ports_are_the_operators() -> None:
    (container,) = pod_spec(render())["containers"]

    assert container["ports"] == [
        {"name": "http", "containerPort": OperatorConfig.model_fields["http_port"].default},
        {"name": "webhook", "containerPort": OperatorConfig.model_fields["webhook_port"].default},
    ]
    assert {
        container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness")
    } == {"http"}


def test_the_chart_runs_the_operator_of_its_own_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (__version__, f"v{__version__}")
