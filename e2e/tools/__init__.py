"""Go programs that the test cluster is made of, from pins, built once into the cache."""

from e2e.tools.builder import ensure, installed, tool, trim
from e2e.tools.families import API_LEVEL, FAMILIES, NODE_LEVEL, Family

__all__ = ["API_LEVEL", "FAMILIES", "NODE_LEVEL", "Family", "ensure", "installed", "tool", "trim"]
