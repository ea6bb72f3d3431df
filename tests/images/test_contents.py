"""The built images, looked into: what must be there, what must not, and that they run under the hardest settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from pip._internal.models.index import PyPI

from e2e.caller import RESTRICTED
from e2e.cluster.providers import Cluster
from e2e.eventually import eventually
from e2e.images import RECIPES, build_image
from e2e.images.archive import Archive, opened
from e2e.install import TAG
from e2e.tools import cache_dir

pytestmark = pytest.mark.node  # built with what runs nodes, and run on one

LARGEST = {
    "operator": 85,
    "service": 130,
}  # MB; 74 and 121 when this was written (PostgreSQL, Redis, tracing)
PROGRAMS_THAT_MUST_NOT_BE_THERE = {
    "sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "gcc", "cc", "ld", "perl", "su", "mount",
}  # fmt: skip
MODULES = {"operator": "productionservice.main", "service": "catalog"}
REFUSES_A_BAD_SETTING = {
    "operator": ("PRODUCTIONSERVICE_OPERATOR_WORKERS", "many"),
    "service": ("CATALOG_PORT", "many"),
}


@pytest.fixture(scope="module", params=RECIPES)
def image(request: pytest.FixtureRequest) -> Iterator[tuple[str, Archive]]:
    """Name and archive of each image."""
    with opened(build_image(request.param, TAG)) as archive:
        yield request.param, archive


def files(archive: Archive) -> set[PurePosixPath]:
    return {
        PurePosixPath(member.name) for layer in archive.layers() for member in layer if not member.isdir()
    }


def test_the_configuration_is_complete(image: tuple[str, Archive]) -> None:
    name, archive = image
    config = archive.config["config"]

    assert config["Entrypoint"] == ["python3", "-m", MODULES[name]]
    assert config["User"] == "10001:10001"
    assert not config.get("Cmd")
    assert not config.get("Volumes")
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert set(labels) == {"title", "description", "licenses", "source", "version", "revision"}
    assert labels["version"] == TAG
    assert labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["revision"])


def test_there_is_no_shell_no_package_manager_and_no_compiler(image: tuple[str, Archive]) -> None:
    _, archive = image
    found = files(archive)

    programs = {path.name for path in found if path.parent.name in {"bin", "sbin"}}
    assert "python3" in programs
    assert programs & PROGRAMS_THAT_MUST_NOT_BE_THERE == set()
    modules = {path.parts[1] for path in found if path.parts[0] == "app" and len(path.parts) > 2}
    assert modules & {"pip", "setuptools", "wheel"} == set()


def test_the_operator_is_without_what_makes_kopf_heavy() -> None:
    with opened(build_image("operator", TAG)) as archive:
        modules = {path.parts[1] for path in files(archive) if path.parts[0] == "app"}

    assert {"kopf", "productionservice"} <= modules
    assert modules & {"kubernetes", "pykube", "prodkit", "catalog"} == set()


def test_everything_is_compiled_already(image: tuple[str, Archive]) -> None:
    _, archive = image
    found = files(archive)
    sources = {path for path in found if path.suffix == ".py" and path.parts[0] == "app"}

    assert sources
    compiled = {
        path.parent.parent / path.name.replace(".cpython-313.pyc", ".py")
        for path in found
        if path.suffix == ".pyc"
    }
    assert sources - compiled == set()


def test_scanners_find_debians_packages(image: tuple[str, Archive]) -> None:
    _, archive = image

    entries = {path.name for path in files(archive) if path.parent == PurePosixPath("var/lib/dpkg/status.d")}
    assert {"libc6", "libssl3t64", "python3.13-minimal", "tzdata"} <= entries


def test_nothing_of_the_building_machine_is_inside(image: tuple[str, Archive]) -> None:
    _, archive = image
    traces = [trace.encode() for trace in machine_traces()]

    assert [trace for trace in traces if trace in json.dumps(archive.config).encode()] == []
    assert {str(path) for path in files(archive)} & {
        "etc/pip.conf",
        "run/secrets/pip",
        "run/secrets/ca",
    } == set()
    for layer in archive.layers():
        for member in layer:
            content = layer.extractfile(member) if member.isfile() else None
            if content is not None:
                text = content.read()
                assert [trace for trace in traces if trace in text] == [], member.name


def machine_traces() -> set[str]:
    """Hosts of this machine's package settings, and its own paths."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    hosts = {
        urlsplit(address).netloc.rpartition("@")[2] for address in re.findall(r"https?://[^\s'\"\\]+", listed)
    }
    # The public index is no secret, and packages name it in their documentation.
    private = hosts - {PyPI.netloc, PyPI.file_storage_domain}
    return private | {str(cache_dir()), sys.prefix}


def test_it_is_small(image: tuple[str, Archive]) -> None:
    name, archive = image

    size = sum(member.size for layer in archive.layers() for member in layer) / 1e6
    assert size <= LARGEST[name], f"{size:.0f} MB"


@pytest.mark.parametrize("name", RECIPES)
def test_it_runs_restricted_with_a_read_only_root_and_ends_in_words(
    name: str, node_cluster: Cluster, namespace: str
) -> None:
    node_cluster.load_docker_image(str(build_image(name, TAG)))
    variable, value = REFUSES_A_BAD_SETTING[name]
    container: dict[str, Any] = {
        "name": "only",
        "image": f"{RECIPES[name].repository}:{TAG}",
        "securityContext": RESTRICTED,
    }
    look = "import os, sys; print(os.getuid(), sys.flags.dont_write_bytecode, os.access('/app', os.W_OK))"
    pods = {
        "inside": {**container, "command": ["python3", "-c", look]},
        "refusing": {**container, "env": [{"name": variable, "value": value}]},
    }
    for pod, run in pods.items():
        spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [run]}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec}
        node_cluster.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(manifest))

    def ended(pod: str) -> int:
        state = json.loads(node_cluster.kubectl("-n", namespace, "get", "pod", pod, "-o", "json"))["status"]
        return int(state["containerStatuses"][0]["state"]["terminated"]["exitCode"])

    assert eventually(lambda: ended("inside"), timeout=60) == 0
    assert node_cluster.kubectl("-n", namespace, "logs", "inside").split() == ["10001", "1", "False"]
    assert eventually(lambda: ended("refusing"), timeout=60) == 2
    assert variable in node_cluster.kubectl("-n", namespace, "logs", "refusing")
