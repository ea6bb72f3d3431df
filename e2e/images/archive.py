"""Docker-archive files: the form in which images go from the builder to the nodes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.progress import CommandError

VERSION_LABEL = "org.opencontainers.image.version"


class Archive:
    """One image in a docker-archive, as `docker save` and `buildah push docker-archive:` write it."""

    def __init__(self, tar: tarfile.TarFile, path: Path) -> None:
        self._tar = tar
        try:
            manifest = json.loads(self._read("manifest.json"))
        except KeyError:
            raise CommandError(f"{path} is no docker-archive: it has no manifest.json") from None
        if len(manifest) != 1:
            raise CommandError(f"{path} holds {len(manifest)} images: save one image to an archive")
        self.names: list[str] = manifest[0]["RepoTags"] or []
        """References by which the image is loaded."""
        self.config: dict[str, Any] = json.loads(self._read(manifest[0]["Config"]))
        """The image's configuration, as in the OCI image specification."""
        self._layers: list[str] = manifest[0]["Layers"]

    def layers(self) -> Iterator[tarfile.TarFile]:
        """The layers, lowest first, each open until the next is asked for."""
        for name in self._layers:
            with tarfile.open(fileobj=self._tar.extractfile(name)) as layer:
                yield layer

    def write(self, target: Path, reference: str, config: dict[str, Any]) -> None:
        """Write the same layers under another configuration and reference."""
        text = json.dumps(config, sort_keys=True).encode()
        config_name = f"{hashlib.sha256(text).hexdigest()}.json"
        manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": self._layers}]
        with tarfile.open(target, "w") as copy:
            for name in dict.fromkeys(self._layers):
                copy.addfile(self._tar.getmember(name), self._tar.extractfile(name))
            for name, content in ((config_name, text), ("manifest.json", json.dumps(manifest).encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                copy.addfile(entry, io.BytesIO(content))

    def _read(self, name: str) -> bytes:
        member = self._tar.extractfile(name)
        return member.read() if member else b""


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive at `path`. Raises CommandError when it is none."""
    try:
        with tarfile.open(path) as tar:
            yield Archive(tar, path)
    except (tarfile.ReadError, FileNotFoundError) as error:
        raise CommandError(f"{path} is no docker-archive: {error}") from None


def names(path: Path) -> list[str]:
    """Image references inside the archive."""
    with opened(path) as archive:
        return archive.names


def retag(path: Path, reference: str) -> Path:
    """The same image as another version, in an archive beside the first: for a rolling update, in a second.

    `reference` is `repository:tag`; the version label follows, so that the image's id differs as well.
    """
    repository, _, tag = reference.rpartition(":")
    if not repository or "/" in tag:
        raise CommandError(f"{reference!r} has no tag: write it as repository:tag")
    target = path.with_name(f"{path.stem}-{tag}.tar")
    with opened(path) as archive:
        section = archive.config.get("config", {})
        labels = {**(section.get("Labels") or {}), VERSION_LABEL: tag}
        archive.write(target, reference, {**archive.config, "config": {**section, "Labels": labels}})
    return target
