"""Archives of images: what they say, and a new version out of an old one."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from e2e.images import retag
from e2e.images.archive import VERSION_LABEL, names, opened
from e2e.progress import CommandError

OLD, NEW = "docker.io/shop/catalog:v1", "docker.io/shop/catalog:v2"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def layer(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, name, content)
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """As newer Dockers write it: an OCI layout and the older manifest in one."""
    path = tmp_path / "image.tar"
    config = {"config": {"User": "10001", "Labels": {VERSION_LABEL: "v1", "kept": "yes"}}, "rootfs": {}}
    manifest = [{"Config": "blobs/c", "RepoTags": [OLD], "Layers": ["blobs/a", "blobs/b"]}]
    with tarfile.open(path, "w") as tar:
        add(tar, "blobs/a", layer("bottom", b"1"))
        add(tar, "blobs/b", layer("top", b"2"))
        add(tar, "blobs/c", json.dumps(config).encode())
        add(tar, "index.json", json.dumps({"manifests": [{"annotations": {"ref": OLD}}]}).encode())
        add(tar, "oci-layout", b"{}")
        add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


def test_retag_changes_name_and_version_and_nothing_else(archive: Path) -> None:
    renamed = retag(archive, NEW)

    with opened(archive) as before, opened(renamed) as after:
        assert (before.names, after.names) == ([OLD], [NEW])
        assert after.config["config"] == {"User": "10001", "Labels": {VERSION_LABEL: "v2", "kept": "yes"}}
        assert [tar.getnames() for tar in after.layers()] == [["bottom"], ["top"]]
    assert OLD.encode() not in renamed.read_bytes()


def test_a_retagged_image_has_an_id_of_its_own(archive: Path) -> None:
    with tarfile.open(retag(archive, NEW)) as tar:
        (config,) = [name for name in tar.getnames() if name.endswith(".json") and name != "manifest.json"]
        member = tar.extractfile(config)
        assert member is not None
        assert config == f"{hashlib.sha256(member.read()).hexdigest()}.json"


def test_retag_needs_a_tag(archive: Path) -> None:
    with pytest.raises(CommandError, match="write it as repository:tag"):
        retag(archive, "registry.example:5000/shop/catalog")


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        add(tar, "readme", b"")
    (tmp_path / "text.tar").write_text("not a tar")

    for name, cause in {
        "other.tar": "manifest.json",
        "text.tar": "no docker-archive",
        "gone.tar": "No such file",
    }.items():
        with pytest.raises(CommandError, match=cause):
            names(tmp_path / name)
