"""Settings of a service: environment variables over the operator's document over defaults.

A service subclasses `Settings`, sets its own `env_prefix` and adds its own fields:

    class HelloSettings(Settings):
        model_config = SettingsConfigDict(env_prefix="HELLO_")
        greeting: str = "hello"

    settings = HelloSettings.load()          # SettingsError names every bad value at once
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from prodkit import contract
from prodkit.document import DocumentError, document_values, read_document

Environment = Literal["development", "staging", "production"]
LogLevel = Literal["debug", "info", "warning", "error"]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Port = Annotated[int, Field(ge=0, le=65535)]

_SERVICE_LINK = re.compile(r"^(tcp|udp|sctp)://")
_SHOWN_VALUE_CHARS = 80


class SettingsError(Exception):
    """Settings that cannot be used. `problems` has one line each: variable or field, value, what to write."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """What every service on prodkit can be told. Frozen; made by `load()`."""

    model_config = SettingsConfigDict(
        env_prefix="SERVICE_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")] = "service"
    """Name of the service in logs, metrics and `/version`."""
    namespace: str = ""
    """Kubernetes namespace it runs in; empty outside of a cluster."""
    version: Annotated[str, Field(min_length=1, max_length=128)] = "0.0.0"
    """Version that runs, in logs, metrics and `/version`."""
    environment: Environment = "development"
    """Which environment this is."""
    host: str = "0.0.0.0"  # noqa: S104  a pod is reached from outside of itself by design
    """Address that both ports listen on; `::` for IPv6 and IPv4."""
    port: Port = contract.PORT
    """Traffic port; 0 takes a free one (the `serving` log line says which)."""
    admin_port: Port = contract.ADMIN_PORT
    """Port of probes, metrics, version and API documentation; 0 takes a free one."""
    pre_stop_seconds: Seconds = 0
    """How long Kubernetes waits (preStop sleep) before it sends SIGTERM; taken off the propagation wait."""
    propagation_seconds: Seconds = contract.PROPAGATION_SECONDS
    """How long everybody may take to learn that this process leaves; it serves normally meanwhile."""
    drain_seconds: Seconds = contract.DRAIN_SECONDS
    """Longest time for requests to finish after the propagation wait; what is left then gets 503."""
    quiet_seconds: Seconds = 2
    """The drain ends early once no connection and no request came for this long and none is in flight."""
    keep_alive_seconds: Annotated[int, Field(ge=1, le=3600)] = 75
    """Idle connections are kept this long; must exceed the idle time-out of the proxy in front."""
    header_seconds: Annotated[float, Field(gt=0, le=600)] = 10
    """A request's header block has to arrive within this time, else 408."""
    body_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """A request body of which nothing comes for so long is given up, 408."""
    header_bytes: Annotated[int, Field(ge=1024, le=1 << 24)] = 64 * 1024
    """Largest header block including the URL, else 431."""
    header_count: Annotated[int, Field(ge=8, le=10_000)] = 100
    """Most header fields in one request, else 431."""
    body_bytes: Annotated[int, Field(ge=0)] = 1024 * 1024
    """Largest request body, else 413."""
    trusted_proxies: str = ""
    """Comma-separated addresses or networks whose `X-Forwarded-For` is believed; empty believes nobody."""
    log_level: LogLevel = "info"
    """Least severe level that is logged."""
    access_log: bool = True
    """One JSON line per request."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://[^/]+/?)?$")] = ""
    """Where traces go: an OTLP/HTTP receiver (`http://collector:4318`); empty traces nothing."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of requests to trace when the caller has not decided; a caller's decision is followed."""
    overload_limit: bool = True
    """Answer 503 at once when more requests come than can be served in time."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's interface; we have no such files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over environment variables, those over the operator's document."""
        return init_settings, _Environment(settings_cls, env_settings), _Document(settings_cls)

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port and self.port == self.admin_port:
            raise ValueError(f"port and admin_port are both {self.port}: give them different numbers")
        return self

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Settings from arguments, environment and document; `SettingsError` lists every problem."""
        try:
            return cls(**values)
        except DocumentError as error:
            raise SettingsError(error.problems) from None
        except ValidationError as error:
            raise SettingsError([cls._explain(problem) for problem in error.errors()]) from None

    @classmethod
    def env_name(cls, field: str) -> str:
        """The environment variable of a field, for example `CATALOG_PORT`."""
        return f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @property
    def propagation_wait(self) -> float:
        """Seconds to go on as usual after SIGTERM: what the preStop sleep has not already covered."""
        return max(0.0, self.propagation_seconds - self.pre_stop_seconds)

    @classmethod
    def _explain(cls, problem: Any) -> str:
        if not problem["loc"]:
            return f"{cls.__name__}: {problem['msg'].removeprefix('Value error, ')}"
        field = str(problem["loc"][0])
        info = cls.model_fields.get(field)
        hidden = info is not None and info.annotation is SecretStr
        shown = "(hidden)" if hidden else repr(problem["input"])[:_SHOWN_VALUE_CHARS]
        return f"{cls.env_name(field)}: {shown} cannot be used: {problem['msg']}"


def distribution_version(distribution: str) -> str:
    """Version of an installed distribution; `0.0.0` when it is not installed (a plain checkout)."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


class _Environment(PydanticBaseSettingsSource):
    """Environment variables without the ones that Kubernetes makes up.

    A Service called `catalog` gives every pod of its namespace `CATALOG_PORT=tcp://10.96.0.1:80`
    (service links), which is exactly the name of our own setting.
    """

    def __init__(self, settings_cls: type[BaseSettings], environment: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._environment.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = self._environment()
        return {key: value for key, value in values.items() if not _is_service_link(key, value)}


class _Document(PydanticBaseSettingsSource):
    """The operator's document, flattened to the names of our fields."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  abstract in the superclass, used by sources that read field by field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = os.environ.get(contract.CONFIG_ENV, "")
        return document_values(read_document(path)) if path else {}


def _is_service_link(key: str, value: object) -> bool:
    return key.endswith("port") and isinstance(value, str) and _SERVICE_LINK.match(value) is not None
