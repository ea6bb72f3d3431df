"""kopf is used for looking only: anything that makes it patch objects would break high availability."""

from __future__ import annotations

import ast
import copy
import inspect
import ssl
from typing import Any

import kopf
import pytest

from e2e.cluster.certificates import Authority
from productionservice import handlers
from productionservice.engine.login import Login

CALLABLE: Any = handlers
"""kopf calls handlers with many more arguments than they take; its types ask for all of them."""

LOOKING = {"event", "login", "startup", "cleanup", "validate", "mutate", "probe"}
"""Decorators that never patch the object. create, update, delete, resume, field, timer, daemon and index do, or
keep state (index: O(N²) at start)."""


def decorators() -> list[str]:
    tree = ast.parse(inspect.getsource(handlers))
    calls = [
        decorator.func if isinstance(decorator, ast.Call) else decorator
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
    ]
    return [
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute) and ast.unparse(call).startswith("kopf.")
    ]


def test_only_handlers_that_look_are_written() -> None:
    assert decorators()
    assert set(decorators()) <= LOOKING


def test_only_handlers_that_look_are_registered() -> None:
    # The registry has no public listing; these are the places where patching handlers would be.
    registry = handlers.REGISTRY
    for kind in ("_changing", "_spawning", "_indexing"):
        assert list(getattr(registry, kind).get_all_handlers()) == [], kind
    assert len(list(registry._watching.get_all_handlers())) == 1
    # kopf.on.* without a registry of ours would land in the default one.
    for kind in ("_changing", "_spawning", "_indexing", "_watching"):
        assert list(getattr(kopf.get_default_registry(), kind).get_all_handlers()) == [], kind


def test_handlers_stay_thin() -> None:
    tree = ast.parse(inspect.getsource(handlers))
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert functions
    assert {f.name: n for f in functions if (n := (f.end_lineno or 0) - f.lineno + 1) > 15} == {}


async def test_settings_keep_kopf_from_writing_and_from_looking_around() -> None:
    settings = kopf.OperatorSettings()
    taken: list[bool] = []

    async def drain() -> None:
        """Not asked for here."""

    login = Login("https://api", None)
    shell = handlers.Shell(login, lambda *_: None, drain, lambda: taken.append(True))
    await CALLABLE.startup(settings=settings, memo=shell)

    assert taken == [True], "signals are taken back from kopf"

    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert settings.watching.initial_streaming is False
    assert settings.persistence.diffbase_storage.build(body=kopf.Body({})) == {}


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED", "DELETED"])
async def test_every_event_is_passed_on_as_it_is(kind: Any) -> None:
    seen: list[tuple[str | None, dict[str, Any]]] = []

    async def drain() -> None:
        seen.clear()

    shell = handlers.Shell(Login("https://api", None), lambda *event: seen.append(event), drain)
    body: Any = {"metadata": {"name": "catalog"}, "spec": {"a": 1}, "status": {"b": 2}}
    await CALLABLE.service_event(event={"type": kind, "object": copy.deepcopy(body)}, memo=shell)
    assert seen == [(kind, body)]

    await CALLABLE.cleanup(memo=shell)
    assert seen == []


async def test_what_is_large_in_an_event_is_not_left_to_kopf() -> None:
    seen: list[int] = []

    async def drain() -> None:
        """Not asked for here."""

    def on_event(_kind: str | None, body: dict[str, Any]) -> None:
        seen.append(len(body["metadata"]["managedFields"]))

    shell = handlers.Shell(Login("https://api", None), on_event, drain)
    metadata: Any = {"name": "catalog", "uid": "u", "managedFields": [{}, {}]}
    body: Any = {"metadata": metadata, "spec": {"a": 1}, "status": {"b": 2}}
    await CALLABLE.service_event(event={"type": "ADDED", "object": body}, memo=shell)

    assert seen == [2]
    assert body == {"metadata": {"name": "catalog", "uid": "u"}, "spec": {}, "status": {}}


def test_kopf_logs_in_with_our_credentials() -> None:
    authority = Authority("somebody")
    client = authority.client("us")
    login = Login(
        "https://api",
        authority.pair.certificate_pem,
        client.certificate_pem,
        client.key_pem,
        token=lambda: "secret",
    )
    shell = handlers.Shell(login, lambda *_: None, lambda: None)  # type: ignore[arg-type,return-value] # not used here
    info = CALLABLE.login(memo=shell)

    assert (info.server, info.token) == ("https://api", "secret")
    context = info.as_ssl_context()
    assert [dict(x[0] for x in ca["subject"])["commonName"] for ca in context.get_ca_certs()] == ["somebody"]
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
