"""Random sequences: services made, edited, broken and deleted, their children too, the operator killed meanwhile.

    python -m e2e.faults.sequences --steps 1000 --seed 7

After every few steps all of it has to be what the specs come to. A failure prints the steps that led to it; the same
seed makes the same steps. Exit codes: 0 no wrong end state, 1 one.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2e.cluster.providers import open_cluster
from e2e.eventually import eventually
from e2e.faults.world import World, world
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


@dataclass
class RandomSteps:
    """Random steps in one world."""

    world: World
    dice: random.Random
    alive: set[str] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)

    def step(self) -> None:
        """One random step."""
        actions: list[Callable[[str], str]] = [
            self._apply, self._apply, self._apply, self._invalid, self._delete, self._child_gone, self._child_edited,
            self._child_edited, self._operator_killed,
        ]  # fmt: skip
        name = self.dice.choice(NAMES)
        action = self.dice.choice(actions)
        if action != self._operator_killed and name not in self.alive:
            action = self._apply
        self.steps.append(action(name))

    def check(self) -> None:
        """Everything is what the specs come to, and nothing else is there."""
        for name in sorted(self.alive):
            self.world.converged(name, timeout=90)
            eventually(functools.partial(self.world.as_rendered, name), timeout=60)
        for name in sorted(set(NAMES) - self.alive):
            eventually(functools.partial(self._nothing_left, name), timeout=60)

    def _nothing_left(self, name: str) -> None:
        found = self.world.kubectl("get", ",".join(KINDS), "-l", f"{labels.SERVICE}={name}", "-o", "name")
        assert found.strip() == "", found

    def _apply(self, name: str) -> str:
        spec = self._spec()
        self.world.apply(name, **spec)
        self.alive.add(name)
        return f"apply {name} {json.dumps(spec)}"

    def _spec(self) -> dict[str, Any]:
        low = self.dice.randint(1, 4)
        choices: dict[str, Any] = {
            "port": self.dice.choice([8000, 8080, 9443]),
            "replicas": self.dice.choice([{"min": low}, {"min": low, "max": low + 3}]),
            "environment": self.dice.choice(["development", "staging", "production"]),
            "network": {
                "allowFrom": [{"service": "web"}, {"cidr": "10.20.0.0/16"}][: self.dice.randint(0, 2)]
            },
            "mounts": [{"path": "/data", "scratch": {}}],
            "shutdown": {"drainSeconds": self.dice.randint(5, 60)},
            "observability": {"metrics": {"monitor": self.dice.choice(["Auto", "Off"])}},
        }
        return {key: value for key, value in choices.items() if self.dice.random() < 0.6}

    def _invalid(self, name: str) -> str:
        try:
            self.world.apply(name, port=99999)
        except subprocess.CalledProcessError:
            return f"invalid edit of {name}"
        raise AssertionError("an invalid spec was taken")

    def _delete(self, name: str) -> str:
        self.world.kubectl("delete", "psvc", name, "--wait=false")
        self.alive.discard(name)
        return f"delete {name}"

    def _child_gone(self, name: str) -> str:
        kind = self.dice.choice(KINDS)
        self.world.kubectl("delete", kind, name, "--ignore-not-found", "--wait=false")
        return f"delete {kind} {name}"

    def _child_edited(self, name: str) -> str:
        kind = self.dice.choice(sorted(_EDITS))
        if self.world.exists(kind, name):
            patch = json.dumps(_EDITS[kind])
            try:
                self.world.kubectl("patch", kind, name, "--type=merge", "-p", patch)
            except subprocess.CalledProcessError as error:
                if "not found" not in str(error.stderr):  # gone since the look
                    raise
        return f"edit {kind} {name}"

    def _operator_killed(self, _name: str) -> str:
        self.world.operator.kill()
        self.world.operator.start()
        return "kill the operator"


def run(made: World, *, steps: int, seed: int) -> None:
    """Raises AssertionError, with the last steps in its notes, for a wrong end state."""
    sequence = RandomSteps(made, random.Random(seed))  # noqa: S311 - dice, no secret
    try:
        for number in range(1, steps + 1):
            sequence.step()
            if number % CHECK_EVERY == 0 or number == steps:
                sequence.check()
                print(
                    f"{number}/{steps} steps, {len(sequence.alive)} services, all as they should be",
                    flush=True,
                )
    except Exception as error:
        for step in sequence.steps[-CHECK_EVERY:]:
            error.add_note(step)
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.faults.sequences", description="Random sequences against a real API server.",
        epilog="example: python -m e2e.faults.sequences --steps 1000 --seed 7",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args(argv)
    cluster = open_cluster("sequences", "api")
    cluster.create()
    try:
        with world(cluster, {}) as made:
            run(made, steps=chosen.steps, seed=chosen.seed)
    finally:
        cluster.delete()
    print(f"sequence_wrong_end_states 0 of {chosen.steps} steps goal 0 ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
