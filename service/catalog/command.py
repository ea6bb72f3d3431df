"""The command line of the catalogue."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from catalog import migrations
from catalog.app import create_catalog
from catalog.database import DataDirError, migrate_database, usable_directory
from catalog.settings import CatalogSettings
from prodkit import SettingsError, run
from prodkit.secrets_watch import SecretFileError

_EXAMPLE = """\
example:
  CATALOG_PORT=8080 CATALOG_DATA_DIR=./data python -m catalog
  curl -s localhost:8080/products?limit=3        # the API
  curl -s localhost:9000/readyz                  # probes, /metrics, /version and /docs have their own port

  CATALOG_DATABASE_URL=postgresql://app@db:5432/shop python -m catalog migrate     # once for each release

settings are environment variables:
"""


def command(arguments: list[str]) -> int:
    """Parse, load the settings, serve or migrate.

    Returns the exit code: 0 when that went well, 1 for a migration that did not, 2 for bad settings.
    """
    parser = argparse.ArgumentParser(
        prog="catalog",
        description="A product catalogue over HTTP: with PostgreSQL and Redis, or with nothing else at all.",
        epilog=_EXAMPLE + _settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    parser.add_argument(
        "action", nargs="?", choices=("serve", "migrate"), default="serve", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        settings = CatalogSettings.load()
        if options.version:
            sys.stdout.write(f"{settings.version}\n")
            return 0
        if options.action == "migrate":
            return _migrate(settings)
        if settings.data_dir:
            usable_directory(Path(settings.data_dir))  # one line now instead of a failed start-up later
        run(create_catalog(settings))
    except (SettingsError, DataDirError, SecretFileError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _migrate(settings: CatalogSettings) -> int:
    if not settings.database_url.get_secret_value():
        sys.stderr.write(
            f"{settings.env_name('database_url')}: is empty: write postgresql://user@host:5432/name "
            "(the embedded database migrates itself)\n"
        )
        return 2
    try:
        before, after = migrate_database(settings)
    except Exception as error:  # noqa: BLE001  drivers' and Alembic's own classes; the job needs one line and a code
        reason = (str(error).splitlines() or [""])[0]
        sys.stderr.write(
            f"the migration to {migrations.HEAD} failed, run it again: {type(error).__name__}: {reason}\n"
        )
        return 1
    sys.stdout.write(f"the database is at revision {after}, it was at {before or 'none'}\n")
    return 0


def _settings_help() -> str:
    fields = CatalogSettings.model_fields.items()
    width = max(len(CatalogSettings.env_name(name)) for name, _ in fields)
    lines = [f"  {CatalogSettings.env_name(name):<{width}}  {field.description}" for name, field in fields]
    return "\n".join(lines)
