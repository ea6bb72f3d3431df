"""Bad specs are refused at admission where services run, and the answer names the field.

Rule by rule this is shown at level `api` (tests/api/test_admission.py); here it holds beside a running operator.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from e2e.services import Services

pytestmark = pytest.mark.node

REJECTS = sorted((Path(__file__).parent / "rejects").glob("*.yaml"))


def test_every_bad_spec_is_refused_with_the_field_by_name(shop: Services) -> None:
    assert len(REJECTS) >= 25
    for path in REJECTS:
        lines = path.read_text().splitlines()
        expected = [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]
        with pytest.raises(subprocess.CalledProcessError) as refused:
            shop.kubectl("create", "-f", str(path))
        answer = f"{refused.value.output}{refused.value.stderr}"

        assert expected, f"{path.name} does not say what to expect"
        assert [fragment for fragment in expected if fragment not in answer] == [], f"{path.name}: {answer}"
    assert shop.find("psvc") == []
