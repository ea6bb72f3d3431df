"""The few calls to the API server that a start makes. Much cheaper than a kubectl process for each."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Self

import httpx

from e2e.cluster.rundir import RunDir
from e2e.cluster.spec import ClusterSpec


class ApiClient:
    """An administrator's connection. Safe to use from several threads."""

    def __init__(self, spec: ClusterSpec, run: RunDir) -> None:
        folder = run.credentials
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        # trust_env: a proxy of the user's has no business between us and a private address.
        self._http = httpx.Client(base_url=spec.server, verify=context, timeout=5, trust_env=False)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        return self._http.get("/readyz").status_code == httpx.codes.OK

    def get(self, path: str) -> dict[str, Any]:
        """An object or a list. Raises httpx.HTTPError."""
        response = self._http.get(path)
        response.raise_for_status()
        return dict(response.json())

    def exists(self, path: str) -> bool:
        """Whether the object is there."""
        return self._http.get(path).status_code == httpx.codes.OK

    def create(self, path: str, manifest: Mapping[str, Any]) -> None:
        """Create an object in the collection `path`; one that exists already is left as it is."""
        response = self._http.post(path, json=manifest)
        if response.status_code != httpx.codes.CONFLICT:
            response.raise_for_status()

    def merge(self, path: str, patch: Mapping[str, Any]) -> None:
        """Merge-patch an object."""
        headers = {"Content-Type": "application/merge-patch+json"}
        self._http.patch(path, json=patch, headers=headers).raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
