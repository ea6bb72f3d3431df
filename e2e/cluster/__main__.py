"""`python -m e2e.cluster`: clusters by hand."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from e2e.cluster import addons, lifecycle
from e2e.cluster.images import load_image
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.providers import OwnCluster
from e2e.cluster.rundir import RunDir, known_clusters
from e2e.cluster.spec import NODES, ClusterSpec, Level
from e2e.cluster.status import dead_components, state, usages
from e2e.progress import CommandError, run_command
from e2e.tools import tool

_EXIT_CODES = """exit codes:
  0  done; for status: up
  1  failed; the last line says what to do
  2  wrong usage
  3  status only: the cluster is not up
kubectl and logs end with the exit code of the program that they start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    chosen = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int | None] = chosen.run
    codes: list[int] = []
    failed = run_command(lambda: codes.append(command(chosen) or 0))
    return failed or codes[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m e2e.cluster",
        description="A real Kubernetes on this machine: up in seconds, gone without a trace.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., int | None], text: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=text, description=text, epilog=f"example: python -m e2e.cluster {example}"
        )
        added.set_defaults(run=run)
        added.add_argument("--name", default="dev", help="name of the cluster (default: dev)")
        return added

    up = add("up", _up, "bring a cluster up, or use the one that is up", "up --level nodes --nodes 3")
    up.add_argument("--level", type=Level, choices=list(Level), default=Level.NODE, help="(default: node)")
    up.add_argument("--nodes", type=int, help="how many nodes, at level nodes (default: 3)")
    up.add_argument("--recreate", action="store_true", help="take it down first if it is up")
    up.add_argument(
        "--short-intervals",
        action="store_true",
        help="notice a lost node in 10 s and changed Secrets in 3 s, for some idle CPU",
    )
    down = add("down", _down, "take a cluster down, whatever state it is in", "down --all")
    down.add_argument("--all", action="store_true", help="every cluster of this user")
    add("status", _status, "what runs, and how much memory it has", "status")
    config = add("kubeconfig", _kubeconfig, "print the path of the kubeconfig", "kubeconfig --print")
    config.add_argument("--print", action="store_true", help="print the content instead")
    load = add("load-image", _load_image, "put an image on every node", "load-image localhost/catalog:v1")
    load.add_argument("image", help="a name that buildah or Docker knows, or a docker-archive file")
    logs = add("logs", _logs, "print the log of a component", "logs kube-apiserver -f")
    logs.add_argument("component", help="as in status; kubelet-n1 is the kubelet of the first node")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    kubectl = add("kubectl", _kubectl, "run kubectl against the cluster", "kubectl -- get pods -A")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER, help="everything after --")
    more = commands.add_parser(
        "addons", help="software beside Kubernetes: metrics, TLS, gateways, monitoring"
    )
    addons.add_commands(more, _cluster)
    return parser


def _cluster(name: str) -> OwnCluster:
    spec = _up_or_fail(name).spec()
    assert spec is not None  # that is what "up" means
    return OwnCluster(name, spec.level, spec.node_count, short_intervals=spec.short_intervals)


def _up(chosen: argparse.Namespace) -> None:
    nodes = NODES[chosen.level] if chosen.nodes is None else chosen.nodes
    wanted = ClusterSpec(chosen.name, chosen.level, nodes, short_intervals=chosen.short_intervals)
    running = lifecycle.up(wanted, recreate=chosen.recreate)
    print(f"export KUBECONFIG={running.run.kubeconfig}")


def _down(chosen: argparse.Namespace) -> None:
    for name in known_clusters() if chosen.all else [chosen.name]:
        started = time.monotonic()
        if not RunDir.of(name).path.exists():
            print(f"{name} is not up")
            continue
        killed = lifecycle.down(name)
        print(f"{name} is down: {killed} processes ended, {time.monotonic() - started:.1f} s")


def _status(chosen: argparse.Namespace) -> int:
    run = RunDir.of(chosen.name)
    now, spec = state(run), run.spec()
    if spec is None:
        others = [name for name in known_clusters() if name != chosen.name]
        print(f"{chosen.name}: {now}" + (f" (there is: {', '.join(others)})" if others else ""))
        return 3
    addresses = f", addresses {spec.block}" if spec.nodes else ""
    print(f"{spec.name}: {now}, level {spec.level}, {spec.server}{addresses}")
    found = usages(run)
    for usage in found:
        print(f"{usage.pid:8} {usage.component or '-':26} {usage.program:16} {usage.rss:8.1f} MiB")
    print(f"{len(found)} processes, {sum(usage.rss for usage in found):.0f} MiB")
    for name in dead_components(run):
        print(f"{name} has ended: python -m e2e.cluster logs {name} --name {spec.name}")
    return 0 if now == "up" else 3


def _kubeconfig(chosen: argparse.Namespace) -> None:
    path = _up_or_fail(chosen.name).kubeconfig
    print(path.read_text() if chosen.print else path)


def _load_image(chosen: argparse.Namespace) -> None:
    run = _up_or_fail(chosen.name)
    if spec := run.spec():
        load_image(spec, run, chosen.image)
        print(f"{chosen.image} is on {', '.join(node.name for node in spec.nodes)}")


def _logs(chosen: argparse.Namespace) -> None:
    run = RunDir.of(chosen.name)
    folder = run.logs if run.logs.exists() else run.saved_logs
    path = folder / f"{chosen.component}.log"
    if not path.exists():
        known = sorted(p.stem for p in folder.glob("*.log"))
        there = f"there are {', '.join(known)}" if known else f"{chosen.name} has none"
        raise CommandError(f"no log of {chosen.component!r}: {there}")
    _become(["tail", "-n", "+1", *(["-F"] if chosen.follow else []), str(path)], dict(os.environ))


def _kubectl(chosen: argparse.Namespace) -> None:
    kubeconfig = _up_or_fail(chosen.name).kubeconfig
    kubectl = Kubectl(tool("kubectl"), kubeconfig)
    arguments = chosen.arguments[1:] if chosen.arguments[:1] == ["--"] else chosen.arguments
    _become([str(kubectl.program), *arguments], kubectl.environment)


def _become(command: list[str], environment: dict[str, str]) -> None:
    """Replace this process: signals, terminal and exit code are then the program's own."""
    sys.stdout.flush()
    os.execvpe(command[0], command, environment)  # noqa: S606  # no shell on purpose


def _up_or_fail(name: str) -> RunDir:
    run = RunDir.of(name)
    if run.spec() is None or not run.complete:
        raise CommandError(f"{name} is not up: python -m e2e.cluster up --name {name}")
    return run


if __name__ == "__main__":
    sys.exit(main())
