"""A real Kubernetes from pinned packages, on this machine, in seconds. `python -m e2e.cluster --help`."""
