"""The docker-archive writer against the format's own rules."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from e2e.cluster.archives import write_archive


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "hello"
    path.write_bytes(b"\x7fELF not really" * 1000)
    return path


def entries(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {m.name: stream.read() for m in archive if (stream := archive.extractfile(m))}


def test_manifest_names_what_is_in_the_archive(tmp_path: Path, program: Path) -> None:
    write_archive(tmp_path / "image.tar", "localhost/hello:e2e", program, user="10001:10001")

    found = entries((tmp_path / "image.tar").read_bytes())
    (manifest,) = json.loads(found["manifest.json"])
    config = json.loads(found[manifest["Config"]])
    (layer,) = (found[name] for name in manifest["Layers"])
    assert manifest["RepoTags"] == ["localhost/hello:e2e"]
    assert manifest["Config"] == f"{hashlib.sha256(found[manifest['Config']]).hexdigest()}.json"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert config["config"] == {"Entrypoint": ["/hello"], "User": "10001:10001", "WorkingDir": "/"}
    assert entries(layer) == {"hello": program.read_bytes()}


def test_a_program_may_be_where_others_look_for_it(tmp_path: Path, program: Path) -> None:
    write_archive(tmp_path / "image.tar", "localhost/hello:e2e", program, folder="/bin/")

    found = entries((tmp_path / "image.tar").read_bytes())
    (manifest,) = json.loads(found["manifest.json"])
    assert json.loads(found[manifest["Config"]])["config"]["Entrypoint"] == ["/bin/hello"]
    assert entries(found["layer.tar"]) == {"bin/hello": program.read_bytes()}


def test_program_in_the_layer_may_be_run_by_anyone(tmp_path: Path, program: Path) -> None:
    write_archive(tmp_path / "image.tar", "localhost/hello:e2e", program)

    layer = entries((tmp_path / "image.tar").read_bytes())["layer.tar"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        (member,) = archive.getmembers()
    assert (member.mode, member.uid, member.gid, member.mtime) == (0o755, 0, 0, 0)


def test_same_program_gives_the_same_bytes(tmp_path: Path, program: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_archive(tmp_path / name, "localhost/hello:e2e", program)

    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
