"""`python -m catalog` as a process: how fast it serves, where it may run, what it says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from catalog.settings import CatalogSettings
from tests.service.processes import ROOT, run_service

ENV = {
    "CATALOG_PORT": "0",
    "CATALOG_ADMIN_PORT": "0",
    "CATALOG_HOST": "127.0.0.1",
    "CATALOG_PROPAGATION_SECONDS": "0",
    "CATALOG_QUIET_SECONDS": "0.1",
}
GOAL_SECONDS = 2.0


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "catalog", *arguments],
        env={"PYTHONPATH": str(ROOT / "service"), "PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def processor_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


async def test_it_serves_samples_within_two_seconds(tmp_path: Path) -> None:
    """Of the processor: what else the machine does in the meantime is not the catalogue's."""
    async with run_service("-m", "catalog", log=tmp_path / "log", env=ENV) as service:
        async with httpx.AsyncClient() as client:
            reply = await client.get(f"http://127.0.0.1:{service.port}/products?limit=1")
        assert len(reply.json()["items"]) == 1
        assert processor_seconds(service.process.pid) <= GOAL_SECONDS
        service.stop()
        assert await service.wait(30) == 0


async def test_the_operators_document_is_what_it_says(tmp_path: Path) -> None:
    document = tmp_path / "config.json"
    document.write_text(
        json.dumps(
            {
                "apiVersion": "productionservice.io/v1alpha1",
                "name": "catalog",
                "namespace": "shop",
                "version": "v1.4.2",
                "environment": "production",
            }
        )
    )
    env = ENV | {"PRODUCTIONSERVICE_CONFIG": str(document)}
    async with run_service("-m", "catalog", log=tmp_path / "log", env=env) as service:
        version = (await service.admin("/version")).json()
        assert {key: version[key] for key in ("name", "namespace", "version", "environment")} == {
            "name": "catalog",
            "namespace": "shop",
            "version": "v1.4.2",
            "environment": "production",
        }
        assert (await service.admin("/readyz")).json()["checks"]["database"]["status"] == "ok"
        assert all((line["service"], line["version"]) == ("catalog", "v1.4.2") for line in service.lines())


async def test_the_temporary_database_goes_with_the_process(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with run_service(
        "-m", "catalog", log=tmp_path / "log", env=ENV | {"TMPDIR": str(scratch)}
    ) as service:
        assert len(list(scratch.iterdir())) == 1
        service.stop()
        assert await service.wait(30) == 0
    assert list(scratch.iterdir()) == []


async def test_a_named_directory_keeps_the_data(tmp_path: Path) -> None:
    env = ENV | {"CATALOG_DATA_DIR": str(tmp_path / "data" / "deep")}
    product = {"sku": "KEPT-1", "name": "Kept", "category": "storage", "priceCents": 1}
    for attempt, expected in ((0, []), (1, ["KEPT-1"])):
        async with run_service("-m", "catalog", log=tmp_path / f"{attempt}.log", env=env) as service:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
                found = (await client.get("/products", params={"q": "KEPT"})).json()["items"]
                assert [item["sku"] for item in found] == expected
                if not found:
                    assert (await client.post("/products", json=product)).status_code == 201
            service.stop()
            assert await service.wait(30) == 0


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    done = command(CATALOG_DATA_DIR=str(blocker / "data"), CATALOG_PORT="0", CATALOG_ADMIN_PORT="0")
    assert done.returncode == 2
    assert done.stderr.startswith(f"CATALOG_DATA_DIR: '{blocker / 'data'}' cannot be made (Not a directory)")
    assert len(done.stderr.splitlines()) == 1


def test_bad_settings_are_one_line_each_and_exit_code_2() -> None:
    done = command(CATALOG_PORT="x", CATALOG_DRAIN_SECONDS="-1")
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        "CATALOG_PORT",
        "CATALOG_DRAIN_SECONDS",
    ]


def test_a_taken_port_says_which_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command(CATALOG_HOST="127.0.0.1", CATALOG_PORT=port)
    assert done.returncode == 1
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["level"], line["port"], line["variable"]) == ("error", int(port), "CATALOG_PORT")


def test_help_has_an_example_and_every_setting() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert "example:" in done.stdout
    for field in CatalogSettings.model_fields:
        assert CatalogSettings.env_name(field) in done.stdout


def test_version() -> None:
    assert command("--version", CATALOG_VERSION="v7").stdout == "v7\n"


@pytest.mark.parametrize("module", ["kubernetes", "kopf", "productionservice"])
def test_it_does_not_import(module: str) -> None:
    program = f"import sys, catalog.command; sys.exit({module!r} in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT / "service")}, check=False
        ).returncode
        == 0
    )
