"""What the images are made from, and the key that says when one has to be made anew."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:trixie-slim"
"""The name in the Dockerfiles' FROM lines. Without a registry the same name is made from the Debian archive."""


@dataclass(frozen=True)
class Recipe:
    """One Dockerfile and what it copies."""

    name: str
    repository: str
    sources: tuple[str, ...]
    """Files and folders below the repository."""

    @property
    def dockerfile(self) -> Path:
        """The only recipe of this image."""
        return ROOT / f"Dockerfile.{self.name}"

    def files(self) -> Iterator[Path]:
        """Everything that decides the image's content, sorted."""
        yield self.dockerfile
        yield ROOT / ".dockerignore"
        for source in self.sources:
            path = ROOT / source
            yield from [path] if path.is_file() else sorted(path.rglob("*.py"))

    def revision(self) -> str:
        """Commit that changed the sources last, with `-dirty` when they differ from it; `unknown` outside of git."""
        paths = [str(self.dockerfile), *self.sources]
        commit = _git("log", "-1", "--format=%H", "--", *paths)
        return (
            f"{commit}-dirty"
            if commit and _git("status", "--porcelain", "--", *paths)
            else commit or "unknown"
        )

    def key(self, values: Mapping[str, str]) -> str:
        """Digest of build arguments, architecture, and the files' names and contents: 12 hex digits."""
        digest = hashlib.sha256(json.dumps([platform.machine(), values], sort_keys=True).encode())
        for path in self.files():
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if finished.returncode else finished.stdout.strip()


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "operator",
            "docker.io/productionservice/operator",
            ("requirements/operator.txt", "operator/productionservice"),
        ),
        Recipe(
            "service",
            "docker.io/productionservice/catalog",
            ("requirements/service.txt", "service/prodkit", "service/catalog"),
        ),
    )
}
