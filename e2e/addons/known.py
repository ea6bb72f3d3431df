"""The add-ons that there are."""

from __future__ import annotations

from e2e.addons import (
    cert_manager,
    gateway_api,
    metrics_server,
    pebble,
    prometheus,
    prometheus_operator,
    traefik,
)
from e2e.addons.addon import Addon

_MODULES = (metrics_server, gateway_api, traefik, cert_manager, pebble, prometheus_operator, prometheus)

ADDONS: dict[str, Addon] = {module.ADDON.name: module.ADDON for module in _MODULES}
"""By name; each after those that it needs."""
