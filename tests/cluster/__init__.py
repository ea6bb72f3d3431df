"""Unit tests of e2e/cluster and e2e/tools: what can be said without starting anything."""
