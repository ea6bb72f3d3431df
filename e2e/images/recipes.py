"""What the images are made from, and the key that says when one has to be made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:trixie-slim"
"""The name in the Dockerfiles' FROM lines. Without a registry the same name is made from the Debian archive."""
_CODE = frozenset({".py", ".typed", ".yaml", ".json"})


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
            found = [path] if path.is_file() else path.rglob("*")
            yield from sorted(p for p in found if p.is_file() and (p == path or p.suffix in _CODE))

    def key(self) -> str:
        """Digest of the files' names and contents, 12 hex digits."""
        digest = hashlib.sha256()
        for path in self.files():
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]


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
