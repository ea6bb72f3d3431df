"""Images of one static program, as docker-archive files: no image builder and no registry needed.

Format: a tar with `manifest.json`, the image's configuration and its single layer, as `docker save` does.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path

from e2e.tools import cache_dir, tool
from e2e.tools.cache import make_once

PAUSE = "localhost/pause:e2e"
COREDNS = "localhost/coredns:e2e"
PROBE = "localhost/probe:e2e"
_EPOCH = "1970-01-01T00:00:00Z"  # the same program gives the same image, byte for byte
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's architecture as images call it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def pause_image() -> Path:
    """Archive of the image that holds a pod's namespaces."""
    return program_image(PAUSE, tool("pause"))


def coredns_image() -> Path:
    """Archive of the cluster's DNS server."""
    return program_image(COREDNS, tool("coredns"))


def probe_image() -> Path:
    """Archive of the test program: server, webhook and client in one (`e2e/tools/probe`)."""
    return program_image(PROBE, tool("probe"), user="10001:10001")


def program_image(reference: str, program: Path, *, user: str = "", folder: str = "/") -> Path:
    """Archive of an image whose only file is `program`, in `folder`, which ends in `/`; made once per content."""
    made_of = program.read_bytes() + f"{reference}\0{user}{folder.rstrip('/')}".encode()
    target = cache_dir() / "images" / f"{program.name}-{hashlib.sha256(made_of).hexdigest()[:12]}"
    make_once(
        target,
        lambda made: write_archive(made / "image.tar", reference, program, user=user, folder=folder),
    )
    return target / "image.tar"


def write_archive(target: Path, reference: str, program: Path, *, user: str = "", folder: str = "/") -> None:
    """Write the archive of an image with one static program as its entry point."""
    path = f"{folder}{program.name}"
    layer = _tar([(path.removeprefix("/"), program.read_bytes(), 0o755)])
    config = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": _EPOCH,
            "config": {"Entrypoint": [path], "User": user, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": _EPOCH, "created_by": f"COPY {program.name} {folder}"}],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    entries = [("layer.tar", layer), (config_name, config), ("manifest.json", json.dumps(manifest).encode())]
    target.write_bytes(_tar([(name, content, 0o644) for name, content in entries]))


def _tar(entries: Sequence[tuple[str, bytes, int]]) -> bytes:
    """A tar of (name, content, mode); owner root, time zero."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
