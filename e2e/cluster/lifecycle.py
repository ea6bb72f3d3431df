"""Bring clusters up and take them down, whatever state they are in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from e2e import tools
from e2e.cluster import certificates, control_plane, host, network
from e2e.cluster.api_client import ApiClient
from e2e.cluster.ledger import kill_all, open_ledger
from e2e.cluster.nodes import start_nodes
from e2e.cluster.processes import ComponentError, Startup, explain
from e2e.cluster.rundir import RunDir, known_clusters, root_lock
from e2e.cluster.spec import ClusterSpec, Level
from e2e.progress import CommandError

_API_FAMILIES = ("etcd", "kube")
_NODE_FAMILIES = (*_API_FAMILIES, "containerd", "kube-router", "coredns", "pause")


@dataclass(frozen=True)
class Running:
    """A cluster that is up. `reused` says that it was up already."""

    spec: ClusterSpec
    run: RunDir
    reused: bool


def up(
    wanted: ClusterSpec, *, recreate: bool = False, report: Callable[[str], None] | None = None
) -> Running:
    """Bring up the cluster called `wanted.name`, or find that it is up.

    Slot and ports of `wanted` are chosen here. Raises CommandError, with the end of the failing component's
    log and where the whole log is kept; nothing of the cluster is left then.
    """
    say = report or _print
    if recreate:
        down(wanted.name)
    if existing := _existing(wanted, say):
        return existing
    prepare_machine(wanted.level)
    spec, run = _claim(wanted)
    startup = Startup(run, open_ledger(spec, run), report=say)
    try:
        _start(spec, startup)
    except BaseException as failure:
        startup.failed.set()
        run.save_logs()
        down(spec.name)
        if isinstance(failure, ComponentError):
            raise CommandError(explain(failure, run.saved_logs)) from failure
        raise
    run.mark_complete()
    startup.milestone(f"{spec.name} is up")
    return Running(spec, run, reused=False)


def down(name: str) -> int:
    """Take the cluster down: processes, cgroups, namespaces, mounts, directory.

    Returns how many processes were killed. Works on what is really there, so it may be called on half a
    cluster, and twice.
    """
    run = RunDir.of(name)
    owner = run.owner()
    if owner not in {None, os.getpid()}:
        with suppress(ProcessLookupError):
            os.kill(owner or 0, signal.SIGKILL)  # a start that is under way would go on starting
    killed = 0
    spec = run.spec()
    if spec is not None:
        ledger = open_ledger(spec, run)
        killed = kill_all(ledger)
        ledger.remove()
        if spec.nodes:
            network.remove(spec)
    with root_lock():
        run.remove()
        if not known_clusters():
            host.restore()
    return killed


def prepare_machine(level: Level) -> None:
    """Build the tools and install the Debian packages that the level needs, where they are missing."""
    if level is not Level.API:
        if os.geteuid() != 0:
            raise CommandError(f"level {level} needs root: run it with sudo, or use --level api")
        host.need_packages()
    tools.ensure(_API_FAMILIES if level is Level.API else _NODE_FAMILIES)


def is_healthy(run: RunDir) -> bool:
    """Whether the cluster came up once and its API server is ready now."""
    spec = run.spec()
    if spec is None or not run.complete:
        return False
    try:
        with ApiClient(spec, run) as api:
            return api.ready()
    except Exception:  # noqa: BLE001  # whatever it is, the answer is no
        return False


def _existing(wanted: ClusterSpec, say: Callable[[str], None]) -> Running | None:
    """The running cluster of that name, if it is what is wanted. What is left of a dead one is removed."""
    run = RunDir.of(wanted.name)
    if not run.path.exists():
        return None
    if (owner := run.owner()) is not None:
        raise CommandError(
            f"process {owner} is starting {wanted.name} right now: wait for it, or stop it with: "
            f"python -m e2e.cluster down --name {wanted.name}"
        )
    spec = run.spec()
    if spec is None or not is_healthy(run):
        say(f"{wanted.name} is there but does not answer: removing what is left of it")
        down(wanted.name)
        return None
    if replace(wanted, slot=spec.slot, ports=spec.ports) != spec:
        raise CommandError(
            f"{wanted.name} is up as level {spec.level} with {spec.node_count} nodes"
            f"{' and short intervals' if spec.short_intervals else ''}: "
            "add --recreate, or choose another --name"
        )
    say(f"{wanted.name} is up already")
    return Running(spec, run, reused=True)


def _claim(wanted: ClusterSpec) -> tuple[ClusterSpec, RunDir]:
    """Reserve the name and a slot of addresses, by making the run directory."""
    with root_lock():
        run = RunDir.of(wanted.name)
        if run.path.exists():
            raise CommandError(f"{wanted.name} was started by someone else just now: try again")
        if wanted.level is Level.API:
            spec = replace(wanted, ports=control_plane.free_ports())
        else:
            others = [RunDir.of(name).spec() for name in known_clusters()]
            taken = {other.slot for other in others if other and other.nodes}
            spec = replace(wanted, slot=network.free_slot(taken))
            host.remember()
        run.create(spec)
    return spec, run


def _start(spec: ClusterSpec, startup: Startup) -> None:
    if spec.nodes:
        network.create(spec)
        startup.milestone("network")
    startup.ledger.create([control_plane.PART, *(f"n{n.index}/daemons" for n in spec.nodes)])
    certificates.write_credentials(spec, startup.run.credentials)
    startup.milestone("certificates")
    with ApiClient(spec, startup.run) as api:
        if spec.nodes:
            start_nodes(spec, startup, api)
        else:
            control_plane.start(spec, startup, api)
            control_plane.wait_controllers(startup, api)


def _print(text: str) -> None:
    print(text, flush=True)
