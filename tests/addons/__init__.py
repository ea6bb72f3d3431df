"""Unit tests of e2e/addons: what can be said without a cluster."""
