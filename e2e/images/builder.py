"""Builds an image once for each content of its sources."""

from __future__ import annotations

import shutil
from pathlib import Path

from e2e.images import buildah, docker
from e2e.images.archive import names
from e2e.images.recipes import RECIPES
from e2e.progress import CommandError
from e2e.tools import cache_dir
from e2e.tools.cache import make_once

_KEY = "[0-9a-f]" * 12
"""Glob pattern of a recipe's key, which ends the name of each folder."""


def build_image(name: str, tag: str) -> Path:
    """Docker-archive of the image `name` ("operator" or "service") under `tag`.

    Raises CommandError with the builder's last lines.
    """
    if name not in RECIPES:
        raise CommandError(f"no image is called {name!r}: there are {' and '.join(RECIPES)}")
    recipe = RECIPES[name]
    values = {"VERSION": tag, "REVISION": recipe.revision()}
    target = _images() / f"{name}-{tag}-{recipe.key(values)}"
    if not target.exists():
        build = docker.build if docker.answers() else buildah.build
        reference = f"{recipe.repository}:{tag}"
        make_once(target, lambda folder: build(recipe, values, reference, folder / "image.tar"))
        for outdated in _images().glob(f"{name}-{tag}-{_KEY}"):
            if outdated != target:
                shutil.rmtree(outdated, ignore_errors=True)
    return target / "image.tar"


def archives() -> list[Path]:
    """Every archive that this package has made, by name."""
    return sorted(archive for name in RECIPES for archive in _images().glob(f"{name}-*-{_KEY}/*.tar"))


def clean() -> None:
    """Remove every image, layer and archive that this package made."""
    if docker.answers():
        for reference in {name for archive in archives() for name in names(archive)}:
            docker.remove(reference)
    buildah.clean()
    for archive in archives():
        shutil.rmtree(archive.parent, ignore_errors=True)
    (_images() / "failed.log").unlink(missing_ok=True)


def _images() -> Path:
    return cache_dir() / "images"
