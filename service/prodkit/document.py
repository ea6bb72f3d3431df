"""The document that the operator hands a service: one JSON file, read once at start.

    {"apiVersion": "productionservice.io/v1alpha1", "name": "catalog", "namespace": "shop",
     "version": "v1.4.2", "environment": "production", "port": 8000, "adminPort": 9000,
     "shutdown": {"preStopSeconds": 5, "propagationSeconds": 5, "drainSeconds": 20}}

Unknown keys are ignored, so that an older service runs under a newer operator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from prodkit import contract

Seconds = Annotated[float, Field(ge=0, le=3600)]
Port = Annotated[int, Field(ge=1, le=65535)]


class DocumentError(Exception):
    """The document cannot be used. `problems` has one line each: file, key, value, what to write."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore")


class Shutdown(_Part):
    """How the pod leaves, in seconds."""

    pre_stop_seconds: Seconds = 0
    """The kubelet has already waited this long when SIGTERM comes."""
    propagation_seconds: Seconds = contract.PROPAGATION_SECONDS
    """Whole time for the cluster to learn that the pod leaves, preStop included."""
    drain_seconds: Seconds = contract.DRAIN_SECONDS
    """Longest drain after that."""


class Document(_Part):
    """What the operator knows about this service. Every key may be left out but `apiVersion`."""

    api_version: Literal["productionservice.io/v1alpha1"]
    """Version of this schema."""
    name: str = ""
    """Name of the ProductionService."""
    namespace: str = ""
    """Namespace of the ProductionService."""
    version: str = ""
    """What runs: image tag or digest."""
    environment: Literal["development", "staging", "production"] = "development"
    """Profile that the ProductionService names."""
    port: Port = contract.PORT
    """Traffic port."""
    admin_port: Port = contract.ADMIN_PORT
    """Admin port."""
    shutdown: Shutdown = Shutdown()
    """How the pod leaves."""


def read_document(path: str) -> Document:
    """Read and check the document at `path`. `DocumentError` says what is wrong with it and what to do."""
    where = f"{contract.CONFIG_ENV}={path}"
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DocumentError(
            [f"{where}: cannot be read ({error.strerror}): mount the document there or unset the variable"]
        ) from None
    except ValueError as error:
        raise DocumentError([f"{where}: is not JSON ({error}): write one JSON object"]) from None
    try:
        return Document.model_validate(data)
    except ValidationError as error:
        raise DocumentError([f"{where}: {_explain(problem)}" for problem in error.errors()]) from None


def document_values(document: Document) -> dict[str, Any]:
    """What the document says, by the names of the settings; what it leaves out is left out here."""
    values = document.model_dump(exclude_unset=True, exclude={"api_version", "shutdown"})
    shutdown = document.shutdown.model_dump(exclude_unset=True)
    return {key: value for key, value in {**values, **shutdown}.items() if value != ""}


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "the document"
    if problem["type"] == "missing":
        return f"{key}: is missing: write {contract.API_VERSION!r}"
    return f"{key}: {problem['input']!r} cannot be used: {problem['msg']}"
