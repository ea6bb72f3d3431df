"""Docker as a builder, where it answers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from e2e.images.commands import run, succeeds
from e2e.images.machine import secrets
from e2e.images.recipes import ROOT, Recipe
from e2e.progress import step

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Docker knows these as build arguments that no image keeps; buildah takes them by itself."""


@cache
def answers() -> bool:
    """Whether a Docker engine can be reached from here."""
    return bool(shutil.which("docker")) and succeeds(["docker", "info"])


def build(recipe: Recipe, values: Mapping[str, str], reference: str, archive: Path) -> None:
    """Build and write the docker-archive. Raises CommandError."""
    proxies = {
        name: value for name in _PROXIES if (value := os.environ.get(name) or os.environ.get(name.lower()))
    }
    given = {**proxies, **values}
    arguments = [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
    with step(f"image {reference}: Docker"), tempfile.TemporaryDirectory() as folder:
        run(
            ["docker", "build", "--quiet", *secrets(Path(folder)), *arguments,
             "-f", str(recipe.dockerfile), "-t", reference, str(ROOT)],
            {**os.environ, "DOCKER_BUILDKIT": "1"},
        )  # fmt: skip
        run(["docker", "save", "--output", str(archive), reference])


def remove(reference: str) -> None:
    """Remove the image of this name from Docker, if it is there."""
    succeeds(["docker", "image", "rm", reference])
