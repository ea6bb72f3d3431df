"""The add-ons that there are."""

from __future__ import annotations

from e2e.addons import metrics_server
from e2e.addons.addon import Addon

ADDONS: dict[str, Addon] = {module.ADDON.name: module.ADDON for module in (metrics_server,)}
"""By name; each after those that it needs."""
