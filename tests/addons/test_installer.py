"""Which add-ons are brought up and taken down, and in which order."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import pytest

from e2e.addons import installer
from e2e.addons.addon import LABEL, Addon, Json
from e2e.addons.fixtures import pytest_collection_modifyitems
from e2e.cluster.__main__ import main
from e2e.cluster.providers import Cluster
from e2e.progress import CommandError


def _addon(name: str, *needs: str, manifests: tuple[Json, ...] = ()) -> Addon:
    return Addon(name, "", "v1", lambda: (), lambda: list(manifests), lambda _: None, needs=needs)


def _object(kind: str, name: str, api: str = "v1", **spec: Any) -> Json:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


_CRD = _object("CustomResourceDefinition", "things.example.io", "apiextensions.k8s.io/v1", group="example.io")
_PLAIN = (_object("Namespace", "web"), _object("Thing", "one", "example.io/v1"), _CRD)


class FakeCluster(Cluster):
    """Notes what is asked of kubectl; every add-on is there."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []

    kubeconfig_path = kubectl_path = audit_log = property(lambda _: NotImplemented)

    def create(self) -> None:
        """Unused."""

    def delete(self) -> None:
        """Unused."""

    def load_docker_image(self, image: str) -> None:
        """Unused."""

    def cut_off(self, node: str) -> AbstractContextManager[None]:
        """Unused."""
        raise NotImplementedError(node)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Note the verb and the names of the objects."""
        items = json.loads(options.get("input", '{"items": []}'))["items"]
        self.calls.append((arguments[0], [item["metadata"]["name"] for item in items]))
        return "deployment.apps/one\n"


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    known = (_addon("crds"), _addon("gateway", "crds", manifests=_PLAIN), _addon("issuer", "gateway"))
    monkeypatch.setattr(installer, "ADDONS", {addon.name: addon for addon in known})


def test_what_is_needed_comes_first_and_once() -> None:
    assert [addon.name for addon in installer.ordered(["issuer", "gateway"])] == ["crds", "gateway", "issuer"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r"no add-on 'dns': use crds, gateway, issuer"):
        installer.ordered(["dns"])


def test_crds_are_applied_and_served_before_the_rest() -> None:
    cluster = FakeCluster()

    installer.up(cluster, ["gateway"])

    assert [call for call in cluster.calls if call[1]] == [
        ("apply", ["things.example.io"]),
        ("wait", ["things.example.io"]),
        ("apply", ["web", "one"]),
    ]


def test_down_takes_those_that_need_it_first_and_leaves_custom_objects_to_their_crd() -> None:
    cluster = FakeCluster()

    installer.down(cluster, ["gateway"])

    assert [verb for verb, _ in cluster.calls][:2] == [
        "get",
        "get",
    ]  # issuer, which has no objects, then gateway
    assert [names for verb, names in cluster.calls if verb == "delete"] == [["things.example.io"], ["web"]]


def test_objects_and_pods_carry_the_add_on_s_name_beside_their_own_labels() -> None:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}}
    (marked,) = _addon("web", manifests=(_object("Deployment", "x", "apps/v1", template=template),)).objects()

    assert marked["metadata"]["labels"] == {LABEL: "web"}
    assert marked["spec"]["template"]["metadata"]["labels"] == {"app": "x", LABEL: "web"}
    assert marked["spec"]["template"]["spec"] == {"containers": []}


def test_one_that_never_works_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: Cluster) -> None:
        raise AssertionError("no figures")

    broken = Addon("web", "", "v1", lambda: (), list, never, within=0)
    monkeypatch.setattr(installer, "ADDONS", {"web": broken})
    with pytest.raises(CommandError, match=r"web does not work after 0 s: no figures; look at: kubectl -n"):
        installer.up(FakeCluster(), ["web"])


def test_tests_with_add_ons_run_last_and_the_others_keep_their_order() -> None:
    used = {"a": ["addons", "node_cluster"], "b": ["shop"], "c": ["addons"], "d": []}
    items: list[Any] = [SimpleNamespace(name=name, fixturenames=names) for name, names in used.items()]

    pytest_collection_modifyitems(items)

    assert [item.name for item in items] == ["b", "d", "a", "c"]


@pytest.mark.parametrize("action", ["up", "list", "down"])
def test_every_command_has_help_with_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["addons", action, "--help"])
    assert f"example: python -m e2e.cluster addons {action}" in capsys.readouterr().out
