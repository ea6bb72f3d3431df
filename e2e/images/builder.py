"""Builds an image once for each content of its sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from e2e.images.machine import lend
from e2e.images.recipes import BASE, RECIPES, ROOT, Recipe
from e2e.packages import need
from e2e.progress import CommandError, step
from e2e.tools import cache_dir
from e2e.tools.cache import locked, make_once

_PACKAGES = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "/usr/share/keyrings": "debian-archive-keyring",
}
_IN_BASE = "python3,ca-certificates"
"""Both images want these; in the base they are installed once instead of once for each."""


def build_image(name: str, tag: str) -> Path:
    """Docker-archive of the image `name` ("operator" or "service") under `tag`.

    Raises CommandError with the builder's last line.
    """
    if name not in RECIPES:
        raise CommandError(f"no image is called {name!r}: there are {' and '.join(RECIPES)}")
    recipe = RECIPES[name]
    images = cache_dir() / "images"
    target = images / f"{name}-{tag}-{recipe.key()}"
    if not target.exists():
        build = _build_by_docker if docker_answers() else _build_by_buildah
        make_once(target, lambda folder: build(recipe, tag, folder / "image.tar"))
        for outdated in set(images.glob(f"{name}-{tag}-*")) - {target}:
            shutil.rmtree(outdated, ignore_errors=True)
    return target / "image.tar"


def clean() -> None:
    """Remove every image, layer and archive that this package made."""
    storage = _storage()
    if storage.exists() and shutil.which("buildah"):
        _buildah("rm", "--all")
        _buildah("rmi", "--all", "--force")
        subprocess.run(["umount", "--quiet", storage / "overlay"], check=False, capture_output=True)
    shutil.rmtree(storage.parent, ignore_errors=True)
    for pattern in (f"{name}-*" for name in RECIPES):
        for folder in (cache_dir() / "images").glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


@cache
def docker_answers() -> bool:
    """Whether a Docker engine can be reached from here."""
    docker = shutil.which("docker")
    return (
        bool(docker)
        and subprocess.run([str(docker), "info"], capture_output=True, check=False).returncode == 0
    )


def _build_by_docker(recipe: Recipe, tag: str, archive: Path) -> None:
    reference = f"{recipe.repository}:{tag}"
    with step(f"image {reference}: docker build"):
        _succeed(
            [
                "docker",
                "build",
                "-f",
                recipe.dockerfile,
                "--build-arg",
                f"VERSION={tag}",
                "-t",
                reference,
                ROOT,
            ]
        )
        _succeed(["docker", "save", "-o", archive, reference])


def _build_by_buildah(recipe: Recipe, tag: str, archive: Path) -> None:
    if os.geteuid() != 0:
        raise CommandError("building images needs Docker, or root and buildah: run as root, or start Docker")
    need(_PACKAGES)
    reference = f"{recipe.repository}:{tag}"
    with locked("buildah.lock"):
        _need_base()
        with step(f"image {reference}: buildah"), tempfile.TemporaryDirectory() as folder:
            _buildah(
                "bud", "--layers", "--isolation", "chroot", "--pull-never", *lend(Path(folder)),
                "--build-arg", f"VERSION={tag}", "-f", recipe.dockerfile, "-t", reference, ROOT,
            )  # fmt: skip
            _buildah("push", "--quiet", reference, f"docker-archive:{archive}:{reference}")


def _need_base() -> None:
    """Make the base image under its public name, from the Debian archive."""
    if _buildah("images", "--quiet", "--filter", f"reference={BASE}").strip():
        return
    with step(f"base image {BASE} from the Debian archive"), tempfile.TemporaryDirectory() as folder:
        rootfs = Path(folder) / "rootfs.tar"
        _succeed(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_IN_BASE}", "trixie", rootfs])
        container = _buildah("from", "--quiet", "scratch").strip()
        _buildah("add", "--quiet", container, rootfs, "/")
        _buildah("config", "--cmd", "bash", container)
        _buildah("commit", "--quiet", "--rm", container, BASE)


def _storage() -> Path:
    """Layers live in the cache, not in the machine's own container storage."""
    return cache_dir() / "buildah" / "storage"


def _buildah(*arguments: str | Path) -> str:
    _storage().mkdir(parents=True, exist_ok=True)
    storage: list[str | Path] = [
        "--root",
        _storage(),
        "--runroot",
        _storage().with_name("run"),
        "--storage-driver",
        "overlay",
    ]
    return _succeed(["buildah", *storage, *arguments])


def _succeed(command: list[str | Path]) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = [line for line in (finished.stdout + finished.stderr).splitlines() if line.strip()]
        raise CommandError(f"{command[0]} failed: {' | '.join(lines[-3:])}")
    return finished.stdout
