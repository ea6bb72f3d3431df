"""The steps that random sequences are made of, and what has to be so after them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from e2e import crds
from e2e.eventually import eventually
from e2e.faults.deaths import LEADER, twin_of
from e2e.faults.kinds import CRD
from e2e.faults.world import World
from productionservice import labels

NAMES = ("a", "b", "c")
CHECK_EVERY = 12
KINDS = (
    "serviceaccount",
    "networkpolicy",
    "service",
    "deployment",
    "poddisruptionbudget",
    "horizontalpodautoscaler",
)
_EDITS: dict[str, dict[str, Any]] = {
    "service": {"spec": {"type": "NodePort"}},
    "deployment": {"spec": {"minReadySeconds": 77}},
    "networkpolicy": {"spec": {"egress": [{}]}},
    "poddisruptionbudget": {"metadata": {"labels": {labels.SERVICE: None}}},
    "serviceaccount": {"metadata": {"ownerReferences": None}},
}
_TOKEN = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}
_SECTIONS: dict[str, list[Any]] = {
    "image": [{"repository": "registry.example/shop/catalog", "tag": tag} for tag in ("v1", "v2")],
    "command": [["serve"]],
    "args": [["--fast"], ["--slow", "--safe"]],
    "port": [8000, 8080, 9443],
    "adminPort": [9000, 9100],
    "probes": [{"readinessPath": "/ready"}, {"startupSeconds": 120}],
    "env": [[], [{"name": "LEVEL", "value": "debug"}], [_TOKEN]],
    "resources": [{"requests": {"cpu": "200m", "memory": "64Mi"}}],
    "replicas": [{"min": 1}, {"min": 4}, {"min": 2, "max": 5}, {"min": 3, "max": 9, "cpuPercent": 50}],
    "environment": ["development", "staging", "production"],
    "network": [{"allowFrom": [{"service": "web"}]}, {"allowFrom": [{"cidr": "10.20.0.0/16"}]}],
    "mounts": [[{"path": "/data", "scratch": {}}], [{"path": "/token", "secret": "token"}]],
    "shutdown": [{"drainSeconds": 5}, {"drainSeconds": 60}],
    "availability": [{"zones": "Required"}, {"zones": "Preferred"}],
    "observability": [{"metrics": {"monitor": "Auto"}}, {"metrics": {"monitor": "Off"}}],
}
"""Values of each section of a spec; any of them together are valid."""
SPECS = st.fixed_dictionaries({}, optional={key: st.sampled_from(v) for key, v in _SECTIONS.items()})
NAMED = st.sampled_from(NAMES)


class Steps(RuleBasedStateMachine):
    """One example: a namespace of its own, beside the operator that all share."""

    base: ClassVar[World]
    counted: ClassVar[dict[str, int]]
    """Steps so far, over all examples."""
    done: ClassVar[Callable[[str], None]]
    """Told after each check that held."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.alive: set[str] = set()
        self.handed_over = self.token = False
        self.since_check = 0
        self.paused: set[str] = set()
        self.edited = False
        """True when a service or a child was changed since the operator or a kind came or went last."""

    @initialize(number=st.integers(0, 2**16))
    def begin(self, number: int) -> None:
        """A namespace. Not for the first of hypothesis' examples, which is the simplest: one step again and again."""
        assume(number > 0)
        namespace = f"steps-{uuid.uuid4().hex[:8]}"
        self.base.cluster.kubectl("create", "namespace", namespace)
        self.world = World(
            self.base.cluster, self.base.operator, namespace, self.base.folder, proxy=self.base.proxy
        )
        self.world.prepare()

    def _made(self, what: str, *, edited: bool = True) -> None:
        self.edited = edited
        self.counted[what] = self.counted.get(what, 0) + 1
        self.since_check += 1
        if self.since_check == CHECK_EVERY:
            self.check()

    def _needs(self, name: str) -> None:
        if name not in self.alive:
            self.world.apply(name)
            self.alive.add(name)

    @rule(name=NAMED, spec=SPECS)
    def apply(self, name: str, spec: dict[str, Any]) -> None:
        """Make or edit a service."""
        self.world.apply(name, **spec)
        self.alive.add(name)
        self._made("apply")

    @rule(name=NAMED, spec=SPECS)
    def edit_at_once(self, name: str, spec: dict[str, Any]) -> None:
        """Two edits, the second before the first is carried out."""
        self.world.apply(name, port=8888)
        self.world.apply(name, **spec)
        self.alive.add(name)
        self._made("two edits")

    @rule(name=NAMED)
    def invalid(self, name: str) -> None:
        """An edit that is refused."""
        try:
            self.world.apply(name, port=99999)
        except subprocess.CalledProcessError:
            self._made("invalid edit")
        else:
            raise AssertionError("an invalid spec was taken")

    @rule(name=NAMED)
    def delete(self, name: str) -> None:
        """The service goes, and its children have to."""
        self._needs(name)
        self.world.kubectl("delete", "psvc", name, "--wait=false")
        self.alive.discard(name)
        self.paused.discard(name)
        self._made("delete")

    @rule(name=NAMED, kind=st.sampled_from(KINDS))
    def child_gone(self, name: str, kind: str) -> None:
        """A child is deleted by hand."""
        self._needs(name)
        self.world.kubectl("delete", kind, name, "--ignore-not-found", "--wait=false")
        self._made("child deleted")

    @rule(name=NAMED, kind=st.sampled_from(sorted(_EDITS)))
    def child_edited(self, name: str, kind: str) -> None:
        """A child is edited by hand."""
        self._needs(name)
        if self.world.exists(kind, name):
            try:
                self.world.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(_EDITS[kind]))
            except subprocess.CalledProcessError as error:
                if "not found" not in str(error.stderr):  # gone since the look
                    raise
        self._made("child edited")

    @rule(name=NAMED)
    def pause(self, name: str) -> None:
        """Its children stay as they are until somebody ends it."""
        self._needs(name)
        until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        note = f"{labels.PAUSED}=until={until}; by=dice; why=a step"
        self.world.kubectl("annotate", "psvc", name, note, "--overwrite")
        self.paused.add(name)
        self._made("pause")

    @precondition(lambda self: self.paused & self.alive)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        """The pause ends."""
        name = data.draw(st.sampled_from(sorted(self.paused & self.alive)))
        self.world.kubectl("annotate", "psvc", name, f"{labels.PAUSED}-")
        self.paused.discard(name)
        self._made("resume")

    @rule(name=NAMED, spec=SPECS)
    def adopt(self, name: str, spec: dict[str, Any]) -> None:
        """A Service of somebody else is there first, and may be taken over."""
        if self.world.exists("service", name):
            self.world.kubectl("annotate", "service", name, f"{labels.ADOPT}={name}", "--overwrite")
        else:
            self.world.create({
                "apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": "old", "port": 81}]},
                "metadata": {"name": name, "annotations": {labels.ADOPT: name}},
            })  # fmt: skip
        self.world.apply(name, **spec)
        self.alive.add(name)
        self._made("adopt")

    @rule(value=st.integers(0, 99))
    def secret_written(self, value: int) -> None:
        """The Secret that some services read is made, or rotated."""
        self._write_secret(str(value))
        self._made("Secret written")

    @precondition(lambda self: self.token)
    @rule()
    def secret_gone(self) -> None:
        """It is deleted."""
        self.world.kubectl("delete", "secret", "token")
        self.token = False
        self._made("Secret deleted")

    @precondition(lambda self: self.edited)
    @rule()
    def operator_killed(self) -> None:
        """kill -9, and a new process."""
        self.world.operator.kill()
        self.world.operator.start()
        self._made("operator killed", edited=False)

    @precondition(lambda self: self.edited)
    @rule()
    def operator_restarted(self) -> None:
        """SIGTERM, and a new process."""
        assert self.world.operator.stop() == 0
        self.world.operator.start()
        self._made("operator restarted", edited=False)

    @precondition(lambda self: self.edited and not self.handed_over)
    @rule(name=NAMED, spec=SPECS, graceful=st.booleans())
    def leader_changes(self, name: str, spec: dict[str, Any], graceful: bool) -> None:
        """A second replica takes over in the middle of an edit, and gives back later. Once in an example."""
        self.handed_over = True
        operator = self.world.operator
        operator.stop()
        operator.settings["LEADER_ELECTION"] = "true"
        try:
            operator.start()
            self.world.until(lambda: operator.metric(LEADER) == 1, "the first leads", timeout=40)
            with twin_of(self.world) as twin:
                self.world.apply(name, **spec)
                self.alive.add(name)
                if graceful:
                    operator.stop()
                else:
                    operator.kill()
                self.world.until(lambda: twin.metric(LEADER) == 1, "the second leads", timeout=40)
                if graceful:
                    twin.stop()
        finally:
            operator.kill()
            operator.settings["LEADER_ELECTION"] = "false"
            operator.start()
        self._made("leader change", edited=False)

    @precondition(lambda self: self.edited)
    @rule(there=st.booleans())
    def optional_crd(self, there: bool) -> None:
        """The kind of monitors is installed, or removed."""
        if there:
            crds.install(self.world.cluster, "prometheus-operator", "servicemonitors")
        else:
            self.world.cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
        self._made("optional CRD", edited=False)

    def check(self) -> None:
        """Everything is what the specs come to, and nothing else is there. Ends pauses, and makes the Secret."""
        self.since_check = 0
        if not self.token:
            self._write_secret("again")
        for name in sorted(self.alive):
            self.world.kubectl("annotate", "psvc", name, f"{labels.PAUSED}-")
        self.paused.clear()
        for name in sorted(self.alive):
            self.world.converged(name, timeout=90)
            eventually(functools.partial(self.world.as_rendered, name), timeout=60)
            eventually(functools.partial(self.world.as_observed, name), timeout=30)
        for name in sorted(set(NAMES) - self.alive):
            eventually(functools.partial(self._nothing_left, name), timeout=60)
        self.world.unharmed()
        type(self).done(f"{len(self.alive)} services, all as they should be")

    def teardown(self) -> None:
        """What is left of the steps is looked at as well."""
        if not hasattr(self, "world"):
            return
        try:
            error = sys.exc_info()[1]
            if isinstance(error, Exception):  # others are hypothesis' own way to end an example
                # hypothesis tries again to make sure, which another run need not bear out: said here, it is not lost.
                print(f"after {self.since_check} steps: {type(error).__name__}: {error}", flush=True)
            elif self.since_check:
                self.check()
        finally:
            self.world.cluster.kubectl("delete", "namespace", self.world.namespace, "--wait=false")

    def _write_secret(self, value: str) -> None:
        self.token = True
        self.world.create({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": value},
        })  # fmt: skip

    def _nothing_left(self, name: str) -> None:
        found = self.world.kubectl("get", ",".join(KINDS), "-l", f"{labels.SERVICE}={name}", "-o", "name")
        assert found.strip() == "", found
