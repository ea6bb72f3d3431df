"""Sample products, always the same ones, so that a fresh catalogue has something to show."""

from __future__ import annotations

from catalog.products.schemas import ProductInput

_SAMPLES = (
    ("LAMP-001", "Desk lamp Aurora", "lighting", 4900, "Dimmable LED lamp with a heavy foot"),
    ("LAMP-002", "Floor lamp Meridian", "lighting", 12900, "Reading light with a swivel arm"),
    ("LAMP-003", "Pendant lamp Halo", "lighting", 8900, "Opal glass, for the dining table"),
    ("CHAIR-001", "Office chair Vector", "seating", 24900, "Lumbar support and adjustable arm rests"),
    ("CHAIR-002", "Stool Pivot", "seating", 7900, "Turns, folds, carries 120 kg"),
    ("CHAIR-003", "Lounge chair Drift", "seating", 39900, "Oak frame, wool cover"),
    ("DESK-001", "Standing desk Summit", "desks", 54900, "Electric, 65 to 130 cm high"),
    ("DESK-002", "Corner desk Angle", "desks", 32900, "Fits a 120 cm corner"),
    ("SHELF-001", "Wall shelf Plank", "storage", 3900, "Solid ash, hidden brackets"),
    ("SHELF-002", "Bookcase Stack", "storage", 18900, "Five shelves, no tools needed"),
    ("BOX-001", "Storage box Kubus", "storage", 1900, "Stackable, made of recycled felt"),
    ("MAT-001", "Desk mat Plain", "accessories", 2900, "Cork and linen, 80 by 40 cm"),
)


def sample_products() -> list[ProductInput]:
    """The samples in their order."""
    return [
        ProductInput(sku=sku, name=name, category=category, price_cents=cents, description=text)
        for sku, name, category, cents, text in _SAMPLES
    ]
