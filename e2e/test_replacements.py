"""Every pod replaced under two hundred connections of eight kinds through the Service: no request is lost."""

from __future__ import annotations

import pytest

from e2e.replacements import PODS, replacements
from e2e.services import Services
from tests.service.eight_kinds import CONNECTIONS, KINDS

pytestmark = pytest.mark.node

ROLLOUTS = 2


def test_no_request_of_any_kind_is_lost_through_the_service(shop: Services) -> None:
    with replacements(shop) as running:
        for _ in range(ROLLOUTS):
            running.roll()
        seen = running.stop()

    assert {kind: it.answers for kind, it in seen.items() if it.failures or it.cut_short} == {}
    assert running.replaced == ROLLOUTS * PODS
    assert CONNECTIONS >= 200
    for kind, (_, depth, _, connections) in KINDS.items():
        assert seen[kind].answers["ok"] > connections * depth * ROLLOUTS * PODS, kind
