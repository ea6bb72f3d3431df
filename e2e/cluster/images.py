"""Put images on the nodes of our own clusters."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from e2e.cluster.containers import Containers
from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import ClusterSpec
from e2e.progress import CommandError


def load_image(spec: ClusterSpec, run: RunDir, image: str) -> None:
    """Import an image into every node: a docker-archive file, or a name that buildah or Docker knows.

    Raises CommandError when there is no such image, or no node.
    """
    if not spec.nodes:
        raise CommandError(
            f"{spec.name} is of level {spec.level}, without nodes for images: use --level node"
        )
    with archive_of(image) as archive, ThreadPoolExecutor() as pool:
        loads = [pool.submit(Containers(spec, run, node).load, archive) for node in spec.nodes]
        for load in loads:
            load.result()


@contextmanager
def archive_of(image: str) -> Iterator[Path]:
    """A docker-archive file with the image, for as long as the context lasts."""
    if Path(image).is_file():
        yield Path(image)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "image.tar"
        if not any(export(image, target) for export in (_from_buildah, _from_docker)):
            raise CommandError(
                f"no image {image}: give a docker-archive file, or a name that `buildah images` or "
                "`docker images` lists"
            )
        yield target


def _from_buildah(image: str, target: Path) -> bool:
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
    return _succeeds(["buildah", "push", "--quiet", image, f"docker-archive:{target}:{image}"], environment)


def _from_docker(image: str, target: Path) -> bool:
    return _succeeds(["docker", "save", "--output", str(target), image], dict(os.environ))


def _succeeds(command: list[str], environment: dict[str, str]) -> bool:
    if not shutil.which(command[0]):
        return False
    run = partial(subprocess.run, env=environment, capture_output=True, check=False)
    return run(command).returncode == 0
