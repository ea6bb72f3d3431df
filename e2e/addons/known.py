"""The add-ons that there are."""

from __future__ import annotations

from e2e.addons import gateway_api, metrics_server, traefik
from e2e.addons.addon import Addon

ADDONS: dict[str, Addon] = {
    module.ADDON.name: module.ADDON for module in (metrics_server, gateway_api, traefik)
}
"""By name; each after those that it needs."""
