"""Write, or check, everything that is made from the code: CRD, RBAC rules, reference."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from productionservice.api.crdgen import custom_resource_definition
from productionservice.api.reference import reference
from productionservice.rbac import rules

NAME = "generate"
HELP = "write the files that are made from the code, or check them"
EXAMPLE = "psvc generate --check"

ROOT = Path(__file__).parents[3]
_HEADER = "# Made by `make generate` from operator/productionservice/{source}; edit that, not this.\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file would change")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the checkout (default: where this code stands)"
    )


def run(chosen: argparse.Namespace) -> int:
    """Write every file, or print how they differ."""
    stale = 0
    for name, content in generated_files().items():
        path: Path = chosen.root / name
        before = path.read_text() if path.exists() else ""
        if before == content:
            continue
        stale += 1
        if chosen.check:
            sys.stdout.writelines(
                difflib.unified_diff(
                    before.splitlines(True), content.splitlines(True), name, f"{name} (made anew)"
                )
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            print(f"wrote {name}")
    if chosen.check and stale:
        print(f"error: {stale} generated file(s) are stale: run make generate and commit", file=sys.stderr)
        return 1
    return 0


def generated_files() -> Mapping[str, str]:
    """Content by path below the checkout."""
    makers: dict[str, Callable[[], str]] = {
        "crds/productionservice.io_productionservices.yaml": _crd,
        "charts/productionservice-operator/files/crd.yaml": _crd,
        "charts/productionservice-operator/files/rbac-rules.yaml": _rules,
        "docs/reference.md": reference,
    }
    return {name: make() for name, make in makers.items()}


def _crd() -> str:
    return _HEADER.format(source="api/") + _yaml(custom_resource_definition())


def _rules() -> str:
    return _HEADER.format(source="rbac.py and children/") + _yaml(rules())


class _Plain(yaml.SafeDumper):
    """Writes equal values out instead of as anchors and aliases, which people and some tools cannot follow."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _yaml(content: object) -> str:
    return yaml.dump(content, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
