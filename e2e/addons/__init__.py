"""Software that production clusters have beside Kubernetes, brought up on a running cluster from pins.

`up(cluster, ["metrics-server"])` is all that most code needs; `python -m e2e.cluster addons --help` is the same
by hand.
"""

from e2e.addons.addon import Addon
from e2e.addons.installer import down, is_up, ordered, up
from e2e.addons.known import ADDONS

__all__ = ["ADDONS", "Addon", "down", "is_up", "ordered", "up"]
