"""End to end: a real cluster from pinned packages, the operator and the service in it, and what must hold there."""
