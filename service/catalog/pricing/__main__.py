"""`python -m catalog.pricing`: serve offers until SIGTERM."""

from __future__ import annotations

import argparse
import sys

from catalog.pricing.app import PricingSettings, create_pricing
from prodkit import SettingsError, run

_EXAMPLE = """\
example:
  PRICING_PORT=8100 PRICING_ADMIN_PORT=9100 python -m catalog.pricing
  curl -s 'localhost:8100/offers?sku=LAMP-001&sku=DESK-001'

settings are environment variables with the prefix PRICING_, the same as CATALOG_PORT and the like:
docs/service.md has them
"""


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns 0 after a clean drain, 2 for settings or arguments that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="catalog.pricing",
        description="Offers over HTTP: the upstream of the catalogue.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    try:
        run(create_pricing(PricingSettings.load()))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
