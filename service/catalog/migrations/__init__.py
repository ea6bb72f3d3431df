"""The schema's history. `python -m catalog migrate` runs it; a serving process only compares.

A change goes in steps that the old and the new build can both live with: add, fill, use, and one release later
remove. The build that adds accepts the revision before, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).parent
HEAD: Final = "0002"
"""The newest revision that this build knows; it works with it, whatever comes after has to fit too."""
ACCEPTED: Final = frozenset({"0002", "0003"})
"""Revisions that this build serves on: its own, and the next one, which is deployed before the next build."""
