"""buildah as a builder that leaves no trace: all of its state is in the cache, its mounts end with it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from e2e.images.commands import run, succeeds
from e2e.images.machine import apt_options, secrets
from e2e.images.recipes import BASE, ROOT, Recipe
from e2e.packages import need
from e2e.progress import CommandError, step
from e2e.tools import cache_dir
from e2e.tools.cache import locked

_PACKAGES = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
_SUITE = "trixie"
# As in the published image: no documentation, and no waiting for the disk after each file.
_DPKG = ("path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
         "force-unsafe-io")  # fmt: skip
_MACHINE = Path("/var/lib/containers")
"""Where buildah keeps its notes on registries, whatever its options say."""
# In a mount namespace of its own; $0 is the folder that takes the place of the machine's.
_SCRIPT = f'mount --bind "$0" {_MACHINE} && exec buildah "$@"'


def build(recipe: Recipe, values: Mapping[str, str], reference: str, archive: Path) -> None:
    """Build and write the docker-archive. Raises CommandError."""
    if os.geteuid() != 0:
        raise CommandError("building images without Docker takes root: run it as root, or start Docker")
    need(_PACKAGES)
    arguments = [part for name, value in values.items() for part in ("--build-arg", f"{name}={value}")]
    with locked("buildah.lock", waiting=lambda: print("another build is under way; waiting for it …")):
        _need_base()
        with step(f"image {reference}: buildah"), tempfile.TemporaryDirectory() as folder:
            _buildah(
                "bud", "--layers", "--pull-never", "--identity-label=false", *secrets(Path(folder)),
                *arguments, "-f", str(recipe.dockerfile), "-t", reference, str(ROOT),
            )  # fmt: skip
            _buildah("push", "--quiet", reference, f"docker-archive:{archive}:{reference}")


def clean() -> None:
    """Remove every layer and image, and the mount point if nobody else uses it."""
    with locked("buildah.lock"):
        shutil.rmtree(_state(), ignore_errors=True)
    with suppress(OSError):
        _MACHINE.rmdir()


def _need_base() -> None:
    """Make the base image under its public name, from the Debian archive, once for each way of making it."""
    options = [f"--dpkgopt={option}" for option in _DPKG] + [f"--aptopt={option}" for option in apt_options()]
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *options, _SUITE]
    made = _state() / f"base-{hashlib.sha256(' '.join(command).encode()).hexdigest()[:12]}"
    if made.exists():
        return
    with step(f"base image {BASE} from the Debian archive"), tempfile.TemporaryDirectory() as folder:
        root = f"{folder}/root.tar"
        run([*command, root])
        container = _buildah("from", "--quiet", "scratch").strip()
        _buildah("add", "--quiet", container, root, "/")
        _buildah("commit", "--quiet", "--rm", container, BASE)
    made.touch()


def _buildah(*arguments: str) -> str:
    return run(_command([*_storage(_driver()), *arguments]), _environment())


@cache
def _driver() -> str:
    """`overlay` where the cache's file system can carry it, else the slower `vfs`, which any can."""
    return "overlay" if succeeds(_command([*_storage("overlay"), "images"]), _environment()) else "vfs"


def _storage(driver: str) -> list[str]:
    folder = _state() / driver
    return ["--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", driver]


def _command(arguments: list[str]) -> list[str]:
    notes = _state() / "notes"
    for folder in (notes, _MACHINE):
        folder.mkdir(parents=True, exist_ok=True)
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", _SCRIPT, str(notes), *arguments]


def _environment() -> dict[str, str]:
    temporary = _state() / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(temporary)}


def _state() -> Path:
    return cache_dir() / "buildah"
