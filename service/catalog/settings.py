"""Settings of the catalogue; environment variables start with `CATALOG_`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from prodkit.database.postgres import DatabaseUrlError, parse_url
from prodkit.settings import Settings, distribution_version

_HTTP = r"^(https?://[^/?#]+(/[^?#]*)?)?$"


class CatalogSettings(Settings):
    """prodkit's settings and the catalogue's own."""

    model_config = SettingsConfigDict(env_prefix="CATALOG_")

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")] = "catalog"
    """Name of the service in logs, metrics and `/version`."""
    version: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        default_factory=lambda: distribution_version("productionservice")
    )
    """Version that runs; by default the one of the installed package."""
    data_dir: str = ""
    """Directory of the embedded database; empty takes a private temporary one that goes with the process."""
    seed: bool = True
    """Put sample products into an empty embedded database at start."""
    database_url: SecretStr = SecretStr("")
    """PostgreSQL, `postgresql://user@host:5432/name`; TLS is verified. Empty takes the embedded database."""
    database_password_file: str = ""
    """File with the database password, read again when it changes."""
    database_ca_file: str = ""
    """Authority of the database's certificate; empty takes the system's."""
    database_pool: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections to the database, in each replica."""
    redis_url: SecretStr = SecretStr("")
    """Redis for the shared cache, `rediss://host:6379/0`; empty keeps the cache in the process."""
    redis_password_file: str = ""
    """File with the Redis password, read again when it changes."""
    redis_ca_file: str = ""
    """Authority of Redis' certificate; empty takes the system's."""
    pricing_url: Annotated[str, Field(pattern=_HTTP)] = ""
    """Address of the pricing service; empty answers with list prices."""
    cache_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0
    """How long a read product or price is fresh; after that it is loaded anew behind the caller's back."""
    cache_stale_seconds: Annotated[float, Field(ge=0, le=86400)] = 300.0
    """How long it is still served after that, while loading it anew fails."""

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, value: SecretStr) -> SecretStr:
        address = value.get_secret_value()
        if address and not address.startswith(("redis://", "rediss://")):
            raise ValueError("is no address of Redis: write rediss://host:6379/0")
        return value

    @model_validator(mode="after")
    def _database_address(self) -> Self:
        address = self.database_url.get_secret_value()
        if address:
            try:
                parse_url(address, only_verified=self.environment == "production")
            except DatabaseUrlError as error:
                raise ValueError(f"{self.env_name('database_url')}: {error}") from None
        return self
