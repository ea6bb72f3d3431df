"""All tables of the catalogue, for what works on the whole schema."""

from __future__ import annotations

from catalog.imports.models import ImportRow
from catalog.products.models import ProductRow
from catalog.table import Table

METADATA = Table.metadata
ALL = (ProductRow, ImportRow)
