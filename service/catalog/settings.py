"""Settings of the catalogue; environment variables start with `CATALOG_`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from prodkit.settings import Settings, distribution_version


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
    cache_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0
    """How long a read product is kept in the process; other replicas' writes are seen at the latest then."""
