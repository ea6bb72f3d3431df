"""`psvc generate`: what is made from the code is what is committed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from productionservice.api.crdgen import custom_resource_definition
from productionservice.cli import main
from productionservice.cli.generate import generated_files

CRD = "crds/productionservice.io_productionservices.yaml"


def test_what_is_committed_is_what_would_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--check"]) == 0, capsys.readouterr().out


def test_generating_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {name}" for name in generated_files()]

    assert main(["generate", "--root", str(tmp_path)]) == 0
    assert main(["generate", "--check", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_a_check_shows_what_differs_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["generate", "--root", str(tmp_path)])
    edited = (tmp_path / CRD).read_text().replace("- psvc", "- service")
    (tmp_path / CRD).write_text(edited)
    capsys.readouterr()

    assert main(["generate", "--check", "--root", str(tmp_path)]) == 1

    said = capsys.readouterr()
    assert "-    - service\n+    - psvc\n" in said.out
    assert "run make generate and commit" in said.err
    assert (tmp_path / CRD).read_text() == edited


def test_the_file_is_the_crd_without_anchors() -> None:
    text = generated_files()[CRD]

    assert yaml.safe_load(text) == custom_resource_definition()
    assert "&id" not in text


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["generate", "--nonsense"]])
def test_wrong_usage_is_exit_code_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: psvc" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["generate", "--help"]])
def test_help_has_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 0
    assert "example: psvc generate" in capsys.readouterr().out
