"""The programs of the test cluster, built once from pinned Go modules into a cache outside the repository.

`tool("kubectl")` is all that most code needs. `python -m e2e.tools --help` is the same by hand.
"""

from e2e.tools.builder import ensure, tool
from e2e.tools.cache import cache_dir

__all__ = ["cache_dir", "ensure", "tool"]
