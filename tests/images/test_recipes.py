"""The two recipes and the key that says when an image is made anew."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from e2e.images import build_image, recipes
from e2e.images.machine import pip_conf
from e2e.images.recipes import BASE, RECIPES, ROOT
from e2e.progress import CommandError


def dockerfile(name: str) -> str:
    return RECIPES[name].dockerfile.read_text()


def stage(text: str, name: str) -> str:
    """One stage of a Dockerfile, from its FROM to the next."""
    stages = re.split(r"(?m)^(?=FROM )", text)
    (found,) = [part for part in stages if re.match(rf"FROM \S+ AS {name}\n", part)]
    return found


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with the two recipes' files, small."""
    for name in itertools.chain([".dockerignore", *(f"Dockerfile.{name}" for name in RECIPES)], *(
        [source if source.endswith(".txt") else f"{source}/code.py" for source in recipe.sources]
        for recipe in RECIPES.values()
    )):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(recipes, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("name", RECIPES)
def test_the_key_follows_every_file_that_is_copied(name: str) -> None:
    recipe = RECIPES[name]
    seen, changed = {recipe.key({})}, list(recipe.files())
    for file in changed:
        file.write_text("changed")
        seen.add(recipe.key({}))

    assert len(seen) == len(changed) + 1
    assert recipe.key({"VERSION": "v2"}) not in seen


@pytest.mark.parametrize("name", RECIPES)
def test_the_key_ignores_what_is_not_copied(checkout: Path, name: str) -> None:
    recipe = RECIPES[name]
    before = recipe.key({})
    for other in ("README.md", "operator/productionservice/notes.txt", "service/catalog/code.pyc"):
        (checkout / other).write_text("not for an image")

    assert recipe.key({}) == before


@pytest.mark.parametrize("name", RECIPES)
def test_every_source_is_let_through_to_the_builder_and_copied(name: str) -> None:
    passed = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"(?m)^COPY (?!--from)(\S+) ", dockerfile(name))

    assert list(RECIPES[name].sources) == copied
    for source in copied:
        assert f"!{source}" in passed or f"!{source}/**/*.py" in passed


def test_the_system_is_the_same_stage_in_both_so_that_it_is_built_and_stored_once() -> None:
    assert stage(dockerfile("operator"), "python") == stage(dockerfile("service"), "python")


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_starts_from_the_one_base_and_ends_with_nothing_but_what_it_copies(name: str) -> None:
    bases = re.findall(r"(?m)^FROM (\S+)", dockerfile(name))

    assert bases == [BASE, "python", "python", "scratch"]


@pytest.mark.parametrize("name", RECIPES)
def test_dependencies_come_from_the_lock_by_hash(name: str) -> None:
    install = re.search(r"pip install(?:.*\\\n)*.*", dockerfile(name))
    assert install is not None
    assert {"--require-hashes", "--only-binary", "--no-cache-dir"} <= set(install[0].split())
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert len(re.findall(r"(?m)^[a-z].*==", lock)) == len(
        re.findall(r"(?m)^[a-z].*(?:\n +--hash=.*)+", lock)
    )


def test_only_the_service_may_have_what_makes_kopf_heavy() -> None:
    # kopf imports these when they are there: 19 to 51 MB of memory for nothing.
    lock = (ROOT / "requirements" / "operator.txt").read_text()

    assert re.findall(r"(?m)^(kubernetes|pykube-ng|httpx)==", lock) == []


def test_an_unknown_image_is_refused_by_name() -> None:
    with pytest.raises(CommandError, match="no image is called 'web': there are operator and service"):
        build_image("web", "v1")


@pytest.mark.usefixtures("checkout")
def test_the_revision_is_unknown_outside_of_git() -> None:
    assert RECIPES["operator"].revision() == "unknown"


def test_pip_gets_the_machines_settings_and_the_certificates_where_the_build_sees_them() -> None:
    listed = (
        ":env:.timeout='60'\n"
        "global.cert='/somewhere/ca.pem'\n"
        "global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'\n"
        "global.index-url='https://index.example/simple'\n"
        "install.user='true'\n"
    )

    assert pip_conf(listed, certificates=True) == (
        "[global]\n"
        "cert = /run/secrets/ca\n"
        "extra-index-url = https://one.example/simple\n"
        "  https://two.example/simple\n"
        "index-url = https://index.example/simple\n"
        "timeout = 60\n"
    )
