"""What every level of the tests shares."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ["e2e.cluster.fixtures"]

# A loaded machine is no bug: only what an example does counts, not how long it takes.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden renderings; read the diff before you commit it",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True when golden files are to be rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))
