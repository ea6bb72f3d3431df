"""Docker-archive files: the form in which images go from the builder to the nodes."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from e2e.progress import CommandError


def names(archive: Path) -> list[str]:
    """Image references inside the archive."""
    with tarfile.open(archive) as tar:
        return [name for image in _manifest(tar, archive) for name in image["RepoTags"] or []]


def retag(archive: Path, reference: str) -> Path:
    """The same image under another reference: a new version for a rolling update, in a second."""
    repository, _, tag = reference.rpartition(":")
    if not repository or "/" in tag:
        raise CommandError(f"{reference!r} has no tag: write it as repository:tag")
    target = archive.with_name(f"{archive.stem}-{tag}.tar")
    with tarfile.open(archive) as source, tarfile.open(target, "w") as copy:
        for entry in source:
            if entry.name == "manifest.json":
                content = json.dumps(
                    [{**i, "RepoTags": [reference]} for i in _manifest(source, archive)]
                ).encode()
                entry.size = len(content)
                copy.addfile(entry, io.BytesIO(content))
            elif entry.name != "repositories":  # the older index, which would name the old tag
                copy.addfile(entry, source.extractfile(entry) if entry.isfile() else None)
    return target


def _manifest(tar: tarfile.TarFile, archive: Path) -> list[dict[str, list[str] | str]]:
    member = tar.extractfile("manifest.json")
    if member is None:
        raise CommandError(f"{archive} is no docker-archive: it has no manifest.json")
    return list(json.load(member))
