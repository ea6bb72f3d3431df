"""The command line of the catalogue."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from catalog.app import create_catalog
from catalog.database import DataDirError, usable_directory
from catalog.settings import CatalogSettings
from prodkit import SettingsError, run

_EXAMPLE = """\
example:
  CATALOG_PORT=8080 CATALOG_DATA_DIR=./data python -m catalog
  curl -s localhost:8080/products?limit=3        # the API
  curl -s localhost:9000/readyz                  # probes, /metrics, /version and /docs have their own port

settings are environment variables:
"""


def command(arguments: list[str]) -> int:
    """Parse, load the settings, serve. Returns the exit code: 0 after a clean drain, 2 for bad settings."""
    parser = argparse.ArgumentParser(
        prog="catalog",
        description="A product catalogue over HTTP, with an embedded database.",
        epilog=_EXAMPLE + _settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    options = parser.parse_args(arguments)
    try:
        settings = CatalogSettings.load()
        if options.version:
            sys.stdout.write(f"{settings.version}\n")
            return 0
        if settings.data_dir:
            usable_directory(Path(settings.data_dir))  # one line now instead of a failed start-up later
        run(create_catalog(settings))
    except (SettingsError, DataDirError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _settings_help() -> str:
    fields = CatalogSettings.model_fields.items()
    width = max(len(CatalogSettings.env_name(name)) for name, _ in fields)
    lines = [f"  {CatalogSettings.env_name(name):<{width}}  {field.description}" for name, field in fields]
    return "\n".join(lines)
