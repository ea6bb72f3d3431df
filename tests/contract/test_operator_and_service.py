"""Operator and library share no package: these tests hold the two copies of their contract together."""

from __future__ import annotations

import json

import pytest

from prodkit import contract as theirs
from prodkit.document import Document
from productionservice import contract as ours
from productionservice.api import API_VERSION, parse
from productionservice.api.v1alpha1 import Environment, Probes, Shutdown, Spec
from productionservice.effective import compute_effective
from tests.support.builders import rendered

SERVICE = parse(
    {
        "metadata": {"name": "catalog", "namespace": "shop", "uid": "u"},
        "spec": {
            "image": {"repository": "shop/catalog", "tag": "v1.4.2"},
            "port": 8080,
            "adminPort": 9090,
            "environment": "staging",
            "shutdown": {"propagationSeconds": 7, "drainSeconds": 33},
        },
    }
)


@pytest.mark.parametrize(
    ("operator_says", "service_says"),
    [
        (ours.CONFIG_ENV, theirs.CONFIG_ENV),
        (API_VERSION, theirs.API_VERSION),
        (ours.RESERVE_SECONDS, theirs.RESERVE_SECONDS),
        (tuple(environment.value for environment in Environment), theirs.ENVIRONMENTS),
        (Spec.model_fields["port"].default, theirs.PORT),
        (Spec.model_fields["admin_port"].default, theirs.ADMIN_PORT),
        (Probes().liveness_path, theirs.LIVE_PATH),
        (Probes().startup_path, theirs.STARTUP_PATH),
        (Probes().readiness_path, theirs.READY_PATH),
        (Shutdown().propagation_seconds, theirs.PROPAGATION_SECONDS),
        (Shutdown().drain_seconds, theirs.DRAIN_SECONDS),
    ],
)
def test_both_sides_have_the_same_words_and_numbers(operator_says: object, service_says: object) -> None:
    assert operator_says == service_says


def test_the_service_reads_the_document_that_the_operator_writes() -> None:
    deployment = next(m for m in rendered(SERVICE) if m["kind"] == "Deployment")
    text = deployment["spec"]["template"]["metadata"]["annotations"]["productionservice.io/config"]

    document = Document.model_validate_json(text)

    assert set(json.loads(text)) == set(theirs.DOCUMENT_KEYS)
    assert set(json.loads(text)["shutdown"]) == set(theirs.SHUTDOWN_KEYS)
    assert (document.name, document.namespace, document.version) == ("catalog", "shop", "v1.4.2")
    assert (document.port, document.admin_port, document.environment) == (8080, 9090, "staging")
    effective = compute_effective(SERVICE.spec)
    assert document.shutdown.pre_stop_seconds == effective.pre_stop_seconds == 7
    assert document.shutdown.drain_seconds == 33


def test_the_grace_period_holds_everything_that_the_service_may_take() -> None:
    effective = compute_effective(SERVICE.spec)

    assert effective.grace_seconds >= (
        effective.pre_stop_seconds + effective.drain_seconds + theirs.RESERVE_SECONDS
    )
