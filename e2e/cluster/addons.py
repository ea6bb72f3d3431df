"""`python -m e2e.cluster addons`: the commands for add-ons."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from e2e.addons import ADDONS, down, is_up, ordered, up
from e2e.cluster.providers import Cluster

ClusterOf = Callable[[str], Cluster]


def add_commands(parser: argparse.ArgumentParser, cluster_of: ClusterOf) -> None:
    """Add `up`, `list` and `down` below the command `addons`. `cluster_of` raises CommandError when it is down."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    names = f"one or more of {', '.join(ADDONS)} (default: all)"
    for name, run, text, example in (
        ("up", _up, "bring add-ons up, with what they need, and wait until they work", "up metrics-server"),
        ("list", _list, "list them, and which are up", "list"),
        ("down", _down, "remove add-ons, and those that need them", "down metrics-server"),
    ):
        added = commands.add_parser(
            name, help=text, description=text, epilog=f"example: python -m e2e.cluster addons {example}"
        )
        added.add_argument("--name", default="dev", help="name of the cluster (default: dev)")
        if run is not _list:
            added.add_argument("addon", nargs="*", help=names)
        added.set_defaults(run=_with_cluster(run, cluster_of))


def _with_cluster(
    run: Callable[[argparse.Namespace, Cluster], None], cluster_of: ClusterOf
) -> Callable[[argparse.Namespace], None]:
    return lambda chosen: run(chosen, cluster_of(chosen.name))


def _up(chosen: argparse.Namespace, cluster: Cluster) -> None:
    up(cluster, chosen.addon or ADDONS)


def _list(_: argparse.Namespace, cluster: Cluster) -> None:
    for addon in ADDONS.values():
        state = "up" if is_up(cluster, addon) else "-"
        needs = f" (needs {', '.join(addon.needs)})" if addon.needs else ""
        print(f"{addon.name:20} {addon.version:10} {state:4} {addon.summary}{needs}")


def _down(chosen: argparse.Namespace, cluster: Cluster) -> None:
    ordered(chosen.addon)  # an unknown name is refused before anything is removed
    down(cluster, chosen.addon or ADDONS)
